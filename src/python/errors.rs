//! Which Python exception an error of the layers below becomes.

use pyo3::exceptions::{PyOSError, PyOverflowError};
use pyo3::prelude::*;

use super::shim;
use crate::net::NetError;
use crate::wire::WireError;

/// An error while reading bytes; too large is what only a package that is being written can be.
impl From<WireError> for PyErr {
    fn from(error: WireError) -> Self {
        let text = error.to_string();
        match error {
            WireError::TooLarge { .. } => PyOverflowError::new_err(text),
            WireError::ProtocolId => Python::attach(|py| raise(shim::protocol_id_mismatch_error(py), text)),
            _ => decode_error(text),
        }
    }
}

/// An `OSError` (or the subclass that Python has for it) with the system's error number where there is one.
impl From<NetError> for PyErr {
    fn from(error: NetError) -> Self {
        let text = error.to_string();
        let number = match &error {
            NetError::AddressInUse { .. } => "EADDRINUSE",
            NetError::PermissionDenied { .. } | NetError::NotAtHome { .. } => "EACCES",
            NetError::NotLocal { .. } => "EADDRNOTAVAIL",
            NetError::Resolve { .. } => return Python::attach(|py| raise(shim::gaierror(py), text)),
            NetError::Io { source, .. } => {
                return match source.raw_os_error() {
                    Some(number) => PyOSError::new_err((number, text)),
                    None => PyOSError::new_err(text),
                };
            }
        };
        Python::attach(|py| {
            match py.import("errno").and_then(|errno| errno.getattr(number)?.extract::<i32>()) {
                Ok(number) => PyOSError::new_err((number, text)),
                Err(missing) => missing,
            }
        })
    }
}

/// The exception for bytes that cannot be read: both a `TypeError` and a `ValueError`.
pub(crate) fn decode_error(text: String) -> PyErr {
    Python::attach(|py| raise(shim::decode_error(py), text))
}

/// An exception of a class that lives in the Python package, or why that is not there.
fn raise(class: PyResult<&Bound<'_, pyo3::types::PyType>>, text: String) -> PyErr {
    match class {
        Ok(class) => PyErr::from_type(class.clone(), text),
        Err(missing) => missing,
    }
}
