//! Events that came together, and the loop that calls their handlers.
//!
//! One call from Python handles many events: what is done for each of them is done here.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use pyo3::{
    prelude::*,
    sync::PyOnceLock,
    types::{PyBool, PyDict, PyFloat, PyFunction, PyInt, PyList, PyString, PyTuple, PyType},
};

use super::{codec, connection::lock};
use crate::{net::clock, wire::msgpack};

/// Events of one connection, oldest first, that wait for their handlers.
#[pyclass(frozen, name = "EventBatch", module = "pygase._core")]
pub(super) struct PyEventBatch {
    /// Locked for moments only: handlers may look at what waits.
    events: Mutex<VecDeque<Box<[u8]>>>,
    /// The type of the event that `run` ended with.
    newest: Mutex<Option<Py<PyString>>>,
}

impl PyEventBatch {
    pub(super) fn new(events: VecDeque<Box<[u8]>>) -> Self {
        Self { events: Mutex::new(events), newest: Mutex::default() }
    }
}

#[pymethods]
impl PyEventBatch {
    fn __len__(&self) -> usize {
        lock(&self.events).len()
    }

    /// Drops all but the first `room` events; says how many that were.
    fn keep(&self, room: usize) -> usize {
        let mut events = lock(&self.events);
        let dropped = events.len().saturating_sub(room);
        events.truncate(room);
        dropped
    }

    /// The types of the events.
    fn types(&self) -> Vec<String> {
        let events = lock(&self.events);
        let parts = events.iter().filter_map(|event| msgpack::event_parts(event).ok());
        parts.map(|parts| parts.event_type.to_owned()).collect()
    }

    /// The type of the event that the last `run` ended with.
    #[getter]
    fn newest(&self, py: Python<'_>) -> Option<Py<PyString>> {
        let newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        newest.as_ref().map(|name| name.clone_ref(py))
    }

    /// Calls handlers, at least one, until `seconds` have passed or no event is left; what may have to be awaited ends
    /// it earlier and is returned. So does what a handler raises.
    ///
    /// `handlers` has them by type; but those of types in `apart` and those of unknown types are handled by
    /// `otherwise(type, args, kwargs)`. `address` is given to handlers as `client_address`.
    /// What Python cannot hold is `unreadable(why)`.
    #[pyo3(signature = (seconds, handlers, apart, address, otherwise, unreadable))]
    #[allow(clippy::too_many_arguments, reason = "all of it belongs to the one who asks")]
    fn run<'py>(
        &self,
        py: Python<'py>,
        seconds: f64,
        handlers: Option<&Bound<'py, PyDict>>,
        apart: Option<&Bound<'py, PyDict>>,
        address: Option<&Bound<'py, PyAny>>,
        otherwise: &Bound<'py, PyAny>,
        unreadable: &Bound<'py, PyAny>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let until = clock::now() + Duration::try_from_secs_f64(seconds).unwrap_or_default();
        let mut keywords = Keywords::new(py, address)?;
        loop {
            let Some(event) = lock(&self.events).pop_front() else { return Ok(None) };
            let (name, args, kwargs) = match codec::decode_call(py, &event) {
                Ok(call) => call,
                Err(error) => {
                    unreadable.call1((error.to_string(),))?;
                    continue;
                }
            };
            let is_apart = match apart {
                Some(apart) => apart.contains(&name)?,
                None => false,
            };
            let handler = match handlers.filter(|_| !is_apart) {
                Some(handlers) => handlers.get_item(&name)?,
                None => None,
            };
            let result = match handler {
                Some(handler) => keywords.call(&handler, args, kwargs),
                None => otherwise.call1((&name, PyList::new(py, args.iter())?, keywords.merged(kwargs)?)),
            };
            let result = result.inspect_err(|_| self.note(&name))?;
            if !is_plain(&result) {
                self.note(&name);
                return Ok(Some(result));
            }
            if clock::now() >= until {
                return Ok(None);
            }
        }
    }
}

impl PyEventBatch {
    fn note(&self, name: &Bound<'_, PyString>) {
        *self.newest.lock().unwrap_or_else(PoisonError::into_inner) = Some(name.clone().unbind());
    }
}

/// The keyword arguments that handlers get besides those of the event.
struct Keywords<'py> {
    py: Python<'py>,
    /// The name and the value, and both in a dict.
    address: Option<(&'py Bound<'py, PyString>, Bound<'py, PyAny>, Bound<'py, PyDict>)>,
    /// The last handler that was looked at, and whether it is Python code.
    last: Option<(Bound<'py, PyAny>, bool)>,
}

impl<'py> Keywords<'py> {
    fn new(py: Python<'py>, address: Option<&Bound<'py, PyAny>>) -> PyResult<Self> {
        let address = address.map(|address| {
            let name = pyo3::intern!(py, "client_address");
            let dict = PyDict::new(py);
            dict.set_item(name, address)?;
            PyResult::Ok((name, address.clone(), dict))
        });
        Ok(Self { py, address: address.transpose()?, last: None })
    }

    /// All keyword arguments, in a dict that nobody else has.
    fn merged(&self, kwargs: Option<Bound<'py, PyDict>>) -> PyResult<Bound<'py, PyDict>> {
        let kwargs = kwargs.unwrap_or_else(|| PyDict::new(self.py));
        if let Some((name, address, _)) = &self.address {
            kwargs.set_item(name, address)?;
        }
        Ok(kwargs)
    }

    fn call(
        &mut self,
        handler: &Bound<'py, PyAny>,
        args: Bound<'py, PyTuple>,
        kwargs: Option<Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let shares = match &self.last {
            Some((last, shares)) if last.is(handler) => *shares,
            _ => self.last.insert((handler.clone(), is_python_code(handler))).1,
        };
        match (&self.address, kwargs) {
            (None, None) => handler.call1(args),
            // What is called by its code gets a dict of its own, if any; others might keep the one they are given.
            (Some((.., shared)), None) if shares => handler.call(args, Some(shared)),
            (_, kwargs) => handler.call(args, Some(&self.merged(kwargs)?)),
        }
    }
}

/// Whether it is a function written in Python, or such a function of an object.
fn is_python_code(handler: &Bound<'_, PyAny>) -> bool {
    static METHOD: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let is_method = |kind: &Bound<'_, PyType>| handler.get_type().is(kind);
    handler.is_exact_instance_of::<PyFunction>()
        || METHOD.import(handler.py(), "types", "MethodType").is_ok_and(is_method)
            && handler
                .getattr(pyo3::intern!(handler.py(), "__func__"))
                .is_ok_and(|function| function.is_exact_instance_of::<PyFunction>())
}

/// Whether it is one of the values that nobody awaits.
fn is_plain(result: &Bound<'_, PyAny>) -> bool {
    result.is_none()
        || result.is_exact_instance_of::<PyDict>()
        || result.is_exact_instance_of::<PyBool>()
        || result.is_exact_instance_of::<PyInt>()
        || result.is_exact_instance_of::<PyFloat>()
        || result.is_exact_instance_of::<PyString>()
        || result.is_exact_instance_of::<PyList>()
        || result.is_exact_instance_of::<PyTuple>()
}
