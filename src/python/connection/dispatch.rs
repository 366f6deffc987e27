//! Events on their way out: encoded and checked, with the functions to call afterwards.

use std::sync::{Arc, atomic::Ordering};

use pyo3::{
    exceptions::{PyOverflowError, PyTypeError, PyValueError},
    prelude::*,
};

use super::{Core, PyConnection, lock};
use crate::{
    connection::{CallbackId, DispatchError},
    endpoint::{MAX_PLAIN_EVENT, largest_event},
    wire::{WireError, msgpack},
};

/// An event that is encoded and checked once, to be sent to many.
#[pyclass(frozen, name = "EncodedEvent", module = "pygase._core")]
pub(in crate::python) struct PyEncodedEvent(Arc<[u8]>);

#[pymethods]
impl PyEncodedEvent {
    #[new]
    fn new(event: &Bound<'_, PyAny>) -> PyResult<Self> {
        let bytes = event.call_method0("to_bytes")?;
        let bytes = bytes.extract::<&[u8]>()?;
        if let Err(WireError::NotAnEvent(_)) = msgpack::check_event(bytes) {
            let text = format!("dispatch_event takes an Event, not {}", event.get_type().name()?);
            return Err(PyTypeError::new_err(text));
        }
        Ok(Self(bytes.into()))
    }
}

impl PyConnection {
    pub(super) fn dispatch_object(
        &self,
        event: &Bound<'_, PyAny>,
        ack_callback: Option<Py<PyAny>>,
        timeout_callback: Option<Py<PyAny>>,
        retries: u32,
    ) -> PyResult<()> {
        let py = event.py();
        let bytes = match event.cast::<PyEncodedEvent>() {
            Ok(encoded) => Arc::clone(&encoded.get().0),
            Err(_) => PyEncodedEvent::new(event)?.0,
        };
        let mut callback = None;
        if let Some(callbacks) =
            self.callbacks(py).filter(|_| ack_callback.is_some() || timeout_callback.is_some())
        {
            let id = self.next_callback.fetch_add(1, Ordering::Relaxed);
            callbacks.set_item(id, (ack_callback, timeout_callback))?;
            callback = Some(id);
        }
        self.dispatch(bytes, callback, retries).or_else(|error| {
            if let Some(id) = callback {
                self.resolve(py, id, true)?;
            }
            Err(match error {
                DispatchError::Reserved => PyValueError::new_err(error.to_string()),
                DispatchError::TooLarge { .. } => PyOverflowError::new_err(error.to_string()),
            })
        })
    }

    fn dispatch(
        &self,
        event: Arc<[u8]>,
        callback: Option<CallbackId>,
        retries: u32,
    ) -> Result<(), DispatchError> {
        match self.core() {
            Core::Plain(connection) => {
                let mut connection = lock(&connection);
                let largest = largest_event(&connection.config, MAX_PLAIN_EVENT);
                connection.dispatch_retried(event, callback, retries, largest)
            }
            Core::Client(connection) => lock(&connection).dispatch_retried(event, callback, retries),
            Core::Server(peer) => peer.lock().dispatch_retried(event, callback, retries),
        }
    }
}
