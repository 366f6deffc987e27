//! The Python classes that live in the `pygase` package and not in the extension.
//!
//! They are imported at first use, because the modules they live in import the extension.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyInt, PyString, PyType};

use crate::connection::Status;
use crate::python::codec;
use crate::wire::{Sqn, limits};

macro_rules! classes {
    ($($(#[$doc:meta])* $name:ident = $module:literal, $class:literal;)*) => {$(
        $(#[$doc])*
        pub(crate) fn $name(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
            static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
            CLASS.import(py, $module, $class)
        }
    )*};
}

classes! {
    /// The exception for bytes that cannot be read.
    decode_error = "pygase._errors", "DecodeError";
    /// The exception for datagrams that are none of PyGaSe's.
    protocol_id_mismatch_error = "pygase._errors", "ProtocolIDMismatchError";
    /// The exception for a package that came before.
    duplicate_sequence_error = "pygase._errors", "DuplicateSequenceError";
    /// `pygase.event.Event`.
    event_class = "pygase.event", "Event";
    /// The exception for hostnames that cannot be resolved, as Python's own sockets raise it.
    gaierror = "socket", "gaierror";
    /// `pygase.gamestate.GameStateUpdate`.
    game_state_update_class = "pygase.gamestate", "GameStateUpdate";
    /// `pygase.connection.ConnectionStatus`.
    status_class = "pygase.connection", "ConnectionStatus";
    /// `pygase.utils.Sqn`.
    sqn_class = "pygase.utils", "Sqn";
}

/// A sequence number as Python sees it.
pub(crate) fn to_sqn(py: Python<'_>, value: Sqn) -> PyResult<Bound<'_, PyAny>> {
    // Past the checks of `Sqn` itself, which such a number always passes.
    static NEW: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let new = NEW.get_or_try_init(py, || py.get_type::<PyInt>().getattr("__new__").map(Bound::unbind))?;
    new.bind(py).call1((sqn_class(py)?, value.value()))
}

/// An object of a class whose `__new__` is that of `object`, past its `__init__`.
fn blank<'py>(class: &Bound<'py, PyType>) -> PyResult<Bound<'py, PyAny>> {
    static NEW: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let py = class.py();
    let new = NEW.get_or_try_init(py, || py.get_type::<PyAny>().getattr("__new__").map(Bound::unbind))?;
    new.bind(py).call1((class,))
}

/// An event from its msgpack bytes; None for what is anything but the three attributes of one.
pub(crate) fn read_event<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Option<Bound<'py, PyAny>>> {
    let Some([event_type, args, kwargs]) = codec::decode_event(py, bytes) else { return Ok(None) };
    let class = event_class(py)?;
    let event = blank(class)?;
    event.setattr(intern!(py, codec::EVENT_KEYS[0]), event_type)?;
    event.setattr(intern!(py, codec::EVENT_KEYS[1]), args)?;
    event.setattr(intern!(py, codec::EVENT_KEYS[2]), kwargs)?;
    Ok(Some(event))
}

/// A game state update from its msgpack bytes; None for what is none.
pub(crate) fn read_update<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Option<Bound<'py, PyAny>>> {
    let Some(data) = codec::decode(py, bytes).ok().and_then(|data| data.cast_into::<PyDict>().ok()) else {
        return Ok(None);
    };
    let name = intern!(py, limits::TIME_ORDER_KEY);
    let Some(time_order) = data.get_item(name)?.filter(PyAnyMethods::is_exact_instance_of::<PyInt>) else {
        return Ok(None);
    };
    let Ok(time_order) = time_order.extract::<u16>() else { return Ok(None) };
    data.del_item(name)?;
    if !data.iter().all(|(key, _)| key.is_instance_of::<PyString>()) {
        return Ok(None);
    }
    let class = game_state_update_class(py)?;
    let update = blank(class)?;
    update.setattr(intern!(py, "__dict__"), &data)?;
    update.setattr(name, to_sqn(py, Sqn::new(time_order))?)?;
    Ok(Some(update))
}

/// What is sent of an event that is no more than that; None for subclasses, which may have ways of their own,
/// and for everything else.
#[inline]
pub(crate) fn event_attributes<'py>(event: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyDict>>> {
    let py = event.py();
    if !event.get_type().is(event_class(py)?) {
        return Ok(None);
    }
    Ok(Some(event.getattr(intern!(py, "__dict__"))?.cast_into()?))
}

/// The same for an event or an update.
pub(crate) fn plain_attributes<'py>(sendable: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyDict>>> {
    if let Some(attributes) = event_attributes(sendable)? {
        return Ok(Some(attributes));
    }
    let py = sendable.py();
    if !sendable.get_type().is(game_state_update_class(py)?) {
        return Ok(None);
    }
    let attributes = sendable.getattr(intern!(py, "__dict__"))?.cast_into::<PyDict>()?.copy()?;
    let name = intern!(py, limits::TIME_ORDER_KEY);
    attributes.set_item(name, sendable.getattr(name)?)?;
    Ok(Some(attributes))
}

/// The sequence number that a Python object stands for; `Sqn` itself says what is wrong with others.
pub(crate) fn from_sqn(value: &Bound<'_, PyAny>) -> PyResult<Sqn> {
    let number = match value.extract::<u16>() {
        Ok(number) => number,
        Err(_) => sqn_class(value.py())?.call1((value,))?.extract()?,
    };
    Ok(Sqn::new(number))
}

/// A connection's status as Python sees it.
pub(crate) fn to_status(py: Python<'_>, value: Status) -> PyResult<Bound<'_, PyAny>> {
    status_class(py)?.call1((value as u8,))
}
