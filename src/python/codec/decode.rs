//! From msgpack to Python objects.

use std::sync::{Mutex, MutexGuard};

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyList, PyString, PyTuple};

use super::moment;
use crate::python::errors;
use crate::wire::msgpack::{self, Limits, Reader, TIMESTAMP_TYPE, Timestamp, Token};
use crate::wire::{MsgpackProblem, WireError};

/// The object that msgpack bytes stand for; bytes after it are ignored.
pub(crate) fn decode<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    match Decoder::new(py, bytes).value() {
        Ok(value) => Ok(value),
        Err(Stop::Raised(error)) => Err(*error),
        // One pass is enough for what is well formed; the check knows what is wrong with the rest.
        Err(Stop::Malformed) => {
            msgpack::check(bytes, Limits::LOCAL)?;
            Err(impossible())
        }
    }
}

/// The three attributes of an event, in the order of [`EVENT_KEYS`].
pub(crate) type EventValues<'py> = [Bound<'py, PyAny>; 3];

/// What the attributes of an event are called.
pub(crate) const EVENT_KEYS: [&str; 3] = ["type", "handler_args", "handler_kwargs"];

/// The attributes of the event that msgpack bytes stand for, in their usual order; None for anything else.
pub(crate) fn decode_event<'py>(py: Python<'py>, bytes: &[u8]) -> Option<EventValues<'py>> {
    let mut decoder = Decoder::new(py, bytes);
    if decoder.reader.token().ok()? != Token::Map(3) {
        return None;
    }
    decoder.depth = 1;
    let [event_type, args, kwargs] = EVENT_KEYS;
    let Token::Str(name) = decoder.attribute(event_type)? else { return None };
    let name = decoder.known_text(name).into_any();
    let Token::Array(length) = decoder.attribute(args)? else { return None };
    let args = decoder.list(length).ok()?;
    let Token::Map(length) = decoder.attribute(kwargs)? else { return None };
    let kwargs = decoder.map(length, Decoder::name).ok()?;
    Some([name, args, kwargs])
}

/// Why there is no value.
enum Stop {
    /// Python itself failed. In a box, to keep results small enough for registers.
    Raised(Box<PyErr>),
    /// The bytes break a rule that [`msgpack::check`] names.
    Malformed,
}

impl From<PyErr> for Stop {
    fn from(error: PyErr) -> Self {
        Self::Raised(Box::new(error))
    }
}

impl From<MsgpackProblem> for Stop {
    fn from(_: MsgpackProblem) -> Self {
        Self::Malformed
    }
}

struct Decoder<'a, 'py> {
    py: Python<'py>,
    reader: Reader<'a>,
    depth: usize,
    /// The elements of the arrays being read, the innermost last.
    elements: Vec<Bound<'py, PyAny>>,
    /// None while another thread has them: then each text is made anew.
    known: Option<MutexGuard<'static, KnownTexts>>,
}

impl<'a, 'py> Decoder<'a, 'py> {
    fn new(py: Python<'py>, bytes: &'a [u8]) -> Self {
        let known = KNOWN_TEXTS.try_lock().ok();
        Self { py, reader: Reader::new(bytes), depth: 0, elements: Vec::new(), known }
    }

    fn value(&mut self) -> Result<Bound<'py, PyAny>, Stop> {
        match self.reader.token()? {
            Token::Array(length) => self.list(length),
            Token::Map(length) => self.map(length, Self::key),
            token => self.scalar(token),
        }
    }

    /// The value of a map that has to come next and under this name.
    fn attribute(&mut self, name: &str) -> Option<Token<'a>> {
        match self.reader.token() {
            Ok(Token::Str(key)) if key == name => self.reader.token().ok(),
            _ => None,
        }
    }

    fn list(&mut self, length: u32) -> Result<Bound<'py, PyAny>, Stop> {
        let first = self.elements(length, Self::value)?;
        Ok(PyList::new(self.py, self.elements.drain(first..))?.into_any())
    }

    fn map(
        &mut self,
        length: u32,
        key: fn(&mut Self) -> Result<Bound<'py, PyAny>, Stop>,
    ) -> Result<Bound<'py, PyAny>, Stop> {
        self.nested(|this| this.items(length, key))
    }

    fn items(
        &mut self,
        length: u32,
        key: fn(&mut Self) -> Result<Bound<'py, PyAny>, Stop>,
    ) -> Result<Bound<'py, PyAny>, Stop> {
        let dict = PyDict::new(self.py);
        for _ in 0..length {
            let key = key(self)?;
            dict.set_item(key, self.value()?)?;
        }
        // Two keys that are equal to Python are one too few here.
        if dict.len() == length as usize { Ok(dict.into_any()) } else { Err(Stop::Malformed) }
    }

    /// A key: arrays are tuples there, and short texts are kept for the next time.
    fn key(&mut self) -> Result<Bound<'py, PyAny>, Stop> {
        match self.reader.token()? {
            Token::Array(length) => {
                let first = self.elements(length, Self::key)?;
                Ok(PyTuple::new(self.py, self.elements.drain(first..))?.into_any())
            }
            Token::Str(text) => Ok(self.known_text(text).into_any()),
            Token::F32(value) if value.is_nan() => Err(Stop::Malformed),
            Token::F64(value) if value.is_nan() => Err(Stop::Malformed),
            token => self.scalar(token),
        }
    }

    /// A key that has to be text.
    fn name(&mut self) -> Result<Bound<'py, PyAny>, Stop> {
        match self.reader.token()? {
            Token::Str(text) => Ok(self.known_text(text).into_any()),
            _ => Err(Stop::Malformed),
        }
    }

    /// Reads the elements of an array and says where they begin among all.
    fn elements(
        &mut self,
        length: u32,
        element: fn(&mut Self) -> Result<Bound<'py, PyAny>, Stop>,
    ) -> Result<usize, Stop> {
        let first = self.elements.len();
        self.nested(|this| {
            for _ in 0..length {
                let value = element(this)?;
                this.elements.push(value);
            }
            Ok(first)
        })
    }

    /// Reads a container one level deeper.
    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Stop>) -> Result<T, Stop> {
        if self.depth >= Limits::LOCAL.depth {
            return Err(Stop::Malformed);
        }
        self.depth += 1;
        let value = read(self);
        self.depth -= 1;
        value
    }

    #[allow(clippy::inline_always, reason = "a token that goes through memory costs more than reading it")]
    #[inline(always)]
    fn scalar(&self, token: Token<'_>) -> Result<Bound<'py, PyAny>, Stop> {
        let py = self.py;
        Ok(match token {
            Token::Nil => py.None().into_bound(py),
            Token::Bool(value) => PyBool::new(py, value).to_owned().into_any(),
            Token::Uint(value) => value.into_pyobject(py).map_err(PyErr::from)?.into_any(),
            Token::Int(value) => value.into_pyobject(py).map_err(PyErr::from)?.into_any(),
            Token::F32(value) => PyFloat::new(py, value.into()).into_any(),
            Token::F64(value) => PyFloat::new(py, value).into_any(),
            Token::Str(value) => PyString::new(py, value).into_any(),
            Token::Bin(value) => PyBytes::new(py, value).into_any(),
            Token::Ext(TIMESTAMP_TYPE, data) => match Timestamp::decode(data) {
                Some(value) => moment::from_timestamp(py, value)?.into_any(),
                None => return Err(Stop::Malformed),
            },
            Token::Ext(..) | Token::Array(_) | Token::Map(_) => return Err(Stop::Malformed),
        })
    }
}

/// What nothing is wrong with, and yet cannot be read.
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
type KnownTexts = [Known; KNOWN];

static KNOWN_TEXTS: Mutex<KnownTexts> = Mutex::new([const { None }; KNOWN]);

impl<'py> Decoder<'_, 'py> {
    /// A Python string for a key, the same one as the last time if that is still known.
    fn known_text(&mut self, text: &str) -> Bound<'py, PyString> {
        let slot = self.known.as_mut().filter(|_| text.len() <= LONGEST_KNOWN);
        match slot.and_then(|known| known.get_mut(place(text.as_bytes()))) {
            None => PyString::new(self.py, text),
            Some(Some((same, string))) if **same == *text => string.bind(self.py).clone(),
            Some(slot) => {
                let string = PyString::new(self.py, text);
                *slot = Some((text.into(), string.clone().unbind()));
                string
            }
        }
    }
}

/// Where a text is kept. Only to spread ordinary names: what lands in one place takes turns there.
fn place(text: &[u8]) -> usize {
    let word = match (text.first_chunk(), text.last_chunk()) {
        (Some(first), Some(last)) => u64::from_le_bytes(*first).rotate_left(29) ^ u64::from_le_bytes(*last),
        _ => text.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    };
    let hash = (word ^ text.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (hash >> 32) as usize % KNOWN
}
