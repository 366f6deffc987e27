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
    Decoder::new(py, bytes).value().or_else(|stop| {
        // One pass is enough for what is well formed; the check knows what is wrong with the rest.
        msgpack::check(bytes, Limits::LOCAL)?;
        Err(stop.into())
    })
}

/// The three attributes of an event, in the order of [`EVENT_KEYS`].
pub(crate) type EventValues<'py> = [Bound<'py, PyAny>; 3];

/// What the attributes of an event are called.
pub(crate) const EVENT_KEYS: [&str; 3] = ["type", "handler_args", "handler_kwargs"];

/// What comes before each of them in a packed event.
const BEFORE: [&[u8]; 3] = [b"\x83\xa4type", b"\xachandler_args", b"\xaehandler_kwargs"];

/// The attributes of the event that msgpack bytes stand for, in their usual order; None for anything else.
pub(crate) fn decode_event<'py>(py: Python<'py>, bytes: &[u8]) -> Option<EventValues<'py>> {
    let mut decoder = Decoder::new(py, bytes);
    decoder.depth = 1;
    let [event_type, args, kwargs] = BEFORE;
    let Token::Str(name) = decoder.attribute(event_type)? else { return None };
    let name = decoder.known_text(name).ok()?.into_any();
    let Token::Array(length) = decoder.attribute(args)? else { return None };
    let args = decoder.list(length).ok()?;
    let Token::Map(length) = decoder.attribute(kwargs)? else { return None };
    let kwargs = decoder.map(length, Decoder::name).ok()?;
    Some([name, args, kwargs])
}

/// What an event calls its handler with: the type, positional arguments and, if there are any, keyword arguments.
pub(crate) type EventCall<'py> = (Bound<'py, PyString>, Bound<'py, PyTuple>, Option<Bound<'py, PyDict>>);

/// How the event that checked msgpack bytes stand for calls its handler.
pub(crate) fn decode_call<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<EventCall<'py>> {
    if let Some(call) = Decoder::new(py, bytes).call() {
        return Ok(call);
    }
    // Its keys come in another order, there are others as well, or Python cannot hold a value.
    let parts = msgpack::event_parts(bytes)?;
    let args = decode(py, parts.args)?.cast_into::<PyList>()?.to_tuple();
    let kwargs = decode(py, parts.kwargs)?.cast_into::<PyDict>()?;
    Ok((PyString::new(py, parts.event_type), args, Some(kwargs).filter(|kwargs| !kwargs.is_empty())))
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

impl From<Stop> for PyErr {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Raised(error) => *error,
            Stop::Malformed => impossible(),
        }
    }
}

type Decoded<'py> = Result<Bound<'py, PyAny>, Stop>;

struct Decoder<'a, 'py> {
    py: Python<'py>,
    reader: Reader<'a>,
    depth: usize,
    /// None while another thread has them: then each text is made anew.
    known: Option<MutexGuard<'static, KnownTexts>>,
}

impl<'a, 'py> Decoder<'a, 'py> {
    fn new(py: Python<'py>, bytes: &'a [u8]) -> Self {
        let known = KNOWN_TEXTS.try_lock().ok();
        Self { py, reader: Reader::new(bytes), depth: 0, known }
    }

    fn value(&mut self) -> Decoded<'py> {
        match self.reader.raw_token()? {
            Token::Array(length) => self.list(length),
            Token::Map(length) => self.map(length, Self::key),
            token => self.scalar(token),
        }
    }

    /// The value that has to come after these bytes.
    fn attribute(&mut self, before: &[u8]) -> Option<Token<'a, &'a [u8]>> {
        if self.reader.take_exactly(before) { self.reader.raw_token().ok() } else { None }
    }

    /// The parts of an event whose keys are in their usual order.
    fn call(&mut self) -> Option<EventCall<'py>> {
        const USUAL: usize = 8;
        self.depth = 2;
        let [before_type, before_args, before_kwargs] = BEFORE;
        let Token::Str(name) = self.attribute(before_type)? else { return None };
        let name = self.known_text(name).ok()?;
        let Token::Array(length) = self.attribute(before_args)? else { return None };
        let mut values = Vec::with_capacity(USUAL.min(length as usize));
        for _ in 0..length {
            values.push(self.value().ok()?);
        }
        let args = PyTuple::new(self.py, values).ok()?;
        self.depth = 1;
        let kwargs = match self.attribute(before_kwargs)? {
            Token::Map(0) => None,
            Token::Map(length) => Some(self.map(length, Self::name).ok()?.cast_into::<PyDict>().ok()?),
            _ => return None,
        };
        Some((name, args, kwargs))
    }

    fn list(&mut self, length: u32) -> Decoded<'py> {
        self.nested(|this| {
            let elements = Elements { left: length, decoder: this };
            Ok(PyList::new(elements.decoder.py, elements)?.into_any())
        })
    }

    fn map(&mut self, length: u32, key: fn(&mut Self) -> Decoded<'py>) -> Decoded<'py> {
        self.nested(|this| {
            let dict = PyDict::new(this.py);
            for _ in 0..length {
                let key = key(this)?;
                dict.set_item(key, this.value()?)?;
            }
            // Two keys that are equal to Python are one too few here.
            if dict.len() == length as usize { Ok(dict.into_any()) } else { Err(Stop::Malformed) }
        })
    }

    /// A key: arrays are tuples there, and short texts are kept for the next time.
    fn key(&mut self) -> Decoded<'py> {
        match self.reader.raw_token()? {
            Token::Array(length) => self.nested(|this| {
                let parts = (0..length).map(|_| this.key()).collect::<Result<Vec<_>, _>>()?;
                Ok(PyTuple::new(this.py, parts)?.into_any())
            }),
            Token::Str(text) => Ok(self.known_text(text)?.into_any()),
            Token::F32(value) if value.is_nan() => Err(Stop::Malformed),
            Token::F64(value) if value.is_nan() => Err(Stop::Malformed),
            token => self.scalar(token),
        }
    }

    /// A key that has to be text.
    fn name(&mut self) -> Decoded<'py> {
        match self.reader.raw_token()? {
            Token::Str(text) => Ok(self.known_text(text)?.into_any()),
            _ => Err(Stop::Malformed),
        }
    }

    /// Reads a container one level deeper.
    #[inline]
    fn nested(&mut self, read: impl FnOnce(&mut Self) -> Decoded<'py>) -> Decoded<'py> {
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
    fn scalar(&self, token: Token<'_, &[u8]>) -> Decoded<'py> {
        let py = self.py;
        Ok(match token {
            Token::Nil => py.None().into_bound(py),
            Token::Bool(value) => PyBool::new(py, value).to_owned().into_any(),
            Token::Uint(value) => value.into_pyobject(py).map_err(PyErr::from)?.into_any(),
            Token::Int(value) => value.into_pyobject(py).map_err(PyErr::from)?.into_any(),
            Token::F32(value) => PyFloat::new(py, value.into()).into_any(),
            Token::F64(value) => PyFloat::new(py, value).into_any(),
            Token::Str(value) => PyString::from_bytes(py, value)?.into_any(),
            Token::Bin(value) => PyBytes::new(py, value).into_any(),
            Token::Ext(TIMESTAMP_TYPE, data) => match Timestamp::decode(data) {
                Some(value) => moment::from_timestamp(py, value)?.into_any(),
                None => return Err(Stop::Malformed),
            },
            Token::Ext(..) | Token::Array(_) | Token::Map(_) => return Err(Stop::Malformed),
        })
    }
}

/// The elements of an array, as far as they have not been read yet.
struct Elements<'d, 'a, 'py> {
    decoder: &'d mut Decoder<'a, 'py>,
    left: u32,
}

impl<'py> Iterator for Elements<'_, '_, 'py> {
    type Item = Element<'py>;

    fn next(&mut self) -> Option<Element<'py>> {
        self.left = self.left.checked_sub(1)?;
        Some(Element(self.decoder.value()))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        // Room is made for so many at once. More have to come first: arrays within arrays can all announce as
        // many elements as there are bytes.
        const MOST_AT_ONCE: u32 = 64;
        (self.left.min(MOST_AT_ONCE) as usize, None)
    }
}

/// An element of an array, or why there is none.
struct Element<'py>(Decoded<'py>);

impl<'py> IntoPyObject<'py> for Element<'py> {
    type Target = PyAny;
    type Output = Bound<'py, PyAny>;
    type Error = Stop;

    fn into_pyobject(self, _: Python<'py>) -> Decoded<'py> {
        self.0
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

/// A text, the words of it, and the string for it.
type Known = Option<(Words, Box<[u8]>, Py<PyString>)>;
type KnownTexts = [Known; KNOWN];

static KNOWN_TEXTS: Mutex<KnownTexts> = Mutex::new([const { None }; KNOWN]);

impl<'py> Decoder<'_, 'py> {
    /// A Python string for a key, the same one as the last time if that is still known.
    fn known_text(&mut self, text: &[u8]) -> Result<Bound<'py, PyString>, Stop> {
        let words = Words::of(text);
        let slot = self.known.as_mut().filter(|_| text.len() <= LONGEST_KNOWN);
        match slot.and_then(|known| known.get_mut(words.place())) {
            None => Ok(PyString::from_bytes(self.py, text)?),
            Some(Some((same, all, string))) if *same == words && (words.are_all() || **all == *text) => {
                Ok(string.bind(self.py).clone())
            }
            Some(slot) => {
                let string = PyString::from_bytes(self.py, text)?;
                *slot = Some((words, text.into(), string.clone().unbind()));
                Ok(string)
            }
        }
    }
}

/// The first and the last eight bytes of a text, which may overlap, and its length: all there is to know of one
/// of up to sixteen bytes, and quicker to compare than the bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Words {
    first: u64,
    last: u64,
    length: usize,
}

impl Words {
    #[inline]
    fn of(text: &[u8]) -> Self {
        let (first, last) =
            if let (Some(first), Some(last)) = (text.first_chunk::<8>(), text.last_chunk::<8>()) {
                (u64::from_le_bytes(*first), u64::from_le_bytes(*last))
            } else if let (Some(first), Some(last)) = (text.first_chunk::<4>(), text.last_chunk::<4>()) {
                (u32::from_le_bytes(*first).into(), u32::from_le_bytes(*last).into())
            } else {
                (text.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)), 0)
            };
        Self { first, last, length: text.len() }
    }

    fn are_all(self) -> bool {
        self.length <= 16
    }

    /// Where a text is kept. Only to spread ordinary names: what lands in one place takes turns there.
    #[inline]
    fn place(self) -> usize {
        let word = self.first.rotate_left(29) ^ self.last ^ self.length as u64;
        (word.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize % KNOWN
    }
}
