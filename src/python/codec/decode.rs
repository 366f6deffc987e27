//! From msgpack to Python objects.

use std::sync::Mutex;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyFloat, PyList, PyString, PyTuple};

use super::moment;
use crate::python::errors;
use crate::wire::WireError;
use crate::wire::msgpack::{self, Limits, Reader, TIMESTAMP_TYPE, Timestamp, Token};

/// The object that msgpack bytes stand for; bytes after it are ignored.
pub(crate) fn decode<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    // After this nothing can fail but Python itself, and the recursion below is as deep as was checked.
    msgpack::check(bytes, Limits::LOCAL)?;
    Decoder { py, reader: Reader::new(bytes) }.value()
}

struct Decoder<'a, 'py> {
    py: Python<'py>,
    reader: Reader<'a>,
}

impl<'py> Decoder<'_, 'py> {
    fn value(&mut self) -> PyResult<Bound<'py, PyAny>> {
        match self.reader.next()? {
            Token::Array(length) => {
                let values = (0..length).map(|_| self.value()).collect::<PyResult<Vec<_>>>()?;
                Ok(PyList::new(self.py, values)?.into_any())
            }
            Token::Map(length) => {
                let dict = PyDict::new(self.py);
                for _ in 0..length {
                    let key = self.key()?;
                    dict.set_item(key, self.value()?)?;
                }
                Ok(dict.into_any())
            }
            token => self.scalar(token),
        }
    }

    /// A key: arrays are tuples there, and short texts are kept for the next time.
    fn key(&mut self) -> PyResult<Bound<'py, PyAny>> {
        match self.reader.next()? {
            Token::Array(length) => {
                let values = (0..length).map(|_| self.key()).collect::<PyResult<Vec<_>>>()?;
                Ok(PyTuple::new(self.py, values)?.into_any())
            }
            Token::Str(text) => Ok(known_text(self.py, text).into_any()),
            token => self.scalar(token),
        }
    }

    fn scalar(&self, token: Token<'_>) -> PyResult<Bound<'py, PyAny>> {
        let py = self.py;
        Ok(match token {
            Token::Nil => py.None().into_bound(py),
            Token::Bool(value) => value.into_pyobject(py)?.to_owned().into_any(),
            Token::Uint(value) => value.into_pyobject(py)?.into_any(),
            Token::Int(value) => value.into_pyobject(py)?.into_any(),
            Token::F32(value) => PyFloat::new(py, value.into()).into_any(),
            Token::F64(value) => PyFloat::new(py, value).into_any(),
            Token::Str(value) => PyString::new(py, value).into_any(),
            Token::Bin(value) => PyBytes::new(py, value).into_any(),
            Token::Ext(TIMESTAMP_TYPE, data) => match Timestamp::decode(data) {
                Some(value) => moment::from_timestamp(py, value)?.into_any(),
                None => return Err(impossible()),
            },
            Token::Ext(..) | Token::Array(_) | Token::Map(_) => return Err(impossible()),
        })
    }
}

/// What the check before has ruled out.
fn impossible() -> PyErr {
    errors::decode_error(WireError::NotAnUpdate("msgpack changed while it was read").to_string())
}

/// How many texts are kept, and how long the longest is in bytes.
///
/// Python's own interning is for names that the program chose: keys from the network would stay for ever on
/// some versions. So few of them are kept here, each in the place its bytes give it.
const KNOWN: usize = 512;
const LONGEST_KNOWN: usize = 32;

type Known = Option<(Box<str>, Py<PyString>)>;

static KNOWN_TEXTS: Mutex<[Known; KNOWN]> = Mutex::new([const { None }; KNOWN]);

/// A Python string for a key, the same one as the last time if that is still known.
fn known_text<'py>(py: Python<'py>, text: &str) -> Bound<'py, PyString> {
    if text.len() > LONGEST_KNOWN {
        return PyString::new(py, text);
    }
    // FNV-1a, only to spread ordinary names: what lands in one place takes turns there.
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let place = (hash ^ (hash >> 32)) as usize % KNOWN;
    // A thread that finds the texts in use makes a string of its own.
    let Ok(mut known) = KNOWN_TEXTS.try_lock() else { return PyString::new(py, text) };
    let Some(slot) = known.get_mut(place) else { return PyString::new(py, text) };
    match slot {
        Some((same, string)) if **same == *text => string.bind(py).clone(),
        _ => {
            let string = PyString::new(py, text);
            *slot = Some((text.into(), string.clone().unbind()));
            string
        }
    }
}
