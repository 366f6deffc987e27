//! The Python classes that live in the `pygase` package and not in the extension.
//!
//! They are imported at first use, because the modules they live in import the extension.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

use crate::connection::Status;
use crate::wire::Sqn;

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
    sqn_class(py)?.call1((value.value(),))
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
