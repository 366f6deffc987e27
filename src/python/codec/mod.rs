//! Python objects from and to msgpack, in the exact encoding of the released PyGaSe.

mod decode;
mod encode;
mod moment;

use std::borrow::Cow;

pub(crate) use decode::{EVENT_KEYS, decode, decode_call, decode_event};
use encode::encode_to_bytes;
pub(crate) use encode::{encode, encode_into};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyMemoryView};

use super::shim;

/// Returns the msgpack bytes of a value: None, bool, int, float, str, bytes, datetime, or lists, tuples and
/// dicts of those.
///
/// Raises:
///     TypeError: A value cannot be serialised; the message has the path to it.
///     OverflowError: A float does not fit single precision.
#[pyfunction]
pub(crate) fn packb<'py>(value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    encode_to_bytes(value)
}

/// Returns the value that msgpack bytes stand for; bytes after it are ignored.
///
/// Raises:
///     DecodeError: The bytes are no msgpack, or not of the kinds that `packb` makes.
#[pyfunction]
pub(crate) fn unpackb<'py>(data: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    decode(data.py(), &bytes_of(data)?)
}

/// The bytes in a `bytes`, `bytearray` or `memoryview`.
pub(crate) fn bytes_of<'a>(data: &'a Bound<'_, PyAny>) -> PyResult<Cow<'a, [u8]>> {
    if let Ok(bytes) = data.cast::<PyBytes>() {
        Ok(Cow::Borrowed(bytes.as_bytes()))
    } else if let Ok(bytes) = data.cast::<PyByteArray>() {
        Ok(Cow::Owned(bytes.to_vec()))
    } else if data.is_instance_of::<PyMemoryView>() {
        let bytes = data.py().get_type::<PyBytes>().call1((data,))?;
        Ok(Cow::Owned(bytes.cast::<PyBytes>()?.as_bytes().to_vec()))
    } else {
        let kind = data.get_type().name()?;
        Err(PyTypeError::new_err(format!("expected bytes, bytearray or memoryview, found {kind}")))
    }
}

/// Returns the msgpack bytes of an `Event`, or None for an object of another class.
#[pyfunction]
pub(crate) fn pack_event<'py>(event: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyBytes>>> {
    let Some(attributes) = shim::event_attributes(event)? else { return Ok(None) };
    encode_to_bytes(attributes.as_any()).map(Some)
}

/// Returns the `Event` that msgpack bytes stand for, or None for another class and for what is no plain one.
#[pyfunction]
pub(crate) fn read_event<'py>(
    cls: &Bound<'py, PyAny>,
    data: &Bound<'py, PyAny>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    match bytes_of(data) {
        Ok(bytes) if cls.is(shim::event_class(cls.py())?) => shim::read_event(data.py(), &bytes),
        _ => Ok(None),
    }
}
