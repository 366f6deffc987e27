//! From Python objects to msgpack.

use std::cell::RefCell;

use pyo3::exceptions::{PyOverflowError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDateTime, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};

use super::moment;
use crate::wire::limits;
use crate::wire::msgpack::{self, Limits};

/// The msgpack bytes of an object; `path` is what error messages call it (may be empty).
pub(crate) fn encode(value: &Bound<'_, PyAny>, path: &str) -> PyResult<Vec<u8>> {
    let mut out = Vec::with_capacity(USUAL_SIZE);
    encode_into(value, path, &mut out)?;
    Ok(out)
}

/// [`encode`] into a buffer that is used again; what was in it goes.
pub(crate) fn encode_into(value: &Bound<'_, PyAny>, path: &str, out: &mut Vec<u8>) -> PyResult<()> {
    out.clear();
    let mut encoder = Encoder { out, depth: 0, in_key: false, waiting: Vec::with_capacity(16) };
    encoder.value(value).map_err(|refusal| refusal.into_error(path))
}

/// Room for most events and updates, in bytes.
const USUAL_SIZE: usize = 512;

/// Why a value cannot be serialised, and where in the whole it was found: the steps from the inside out.
struct Refusal {
    why: Why,
    steps: Vec<Step>,
}

enum Why {
    /// A TypeError.
    Type(String),
    /// An OverflowError.
    Overflow(String),
    /// What Python code raised that had to be asked, a time zone for example.
    Raised(PyErr),
}

enum Step {
    Index(usize),
    Name(String),
    Key(String),
    /// The key itself, not its value.
    InKey(String),
}

type Encoded = Result<(), Box<Refusal>>;

struct Encoder<'b, 'py> {
    out: &'b mut Vec<u8>,
    depth: usize,
    in_key: bool,
    /// What the containers being written still hold, the innermost last. Each is taken at once, because code of
    /// time zones may run meanwhile and change it.
    waiting: Vec<Option<Bound<'py, PyAny>>>,
}

impl<'py> Encoder<'_, 'py> {
    fn value(&mut self, value: &Bound<'py, PyAny>) -> Encoded {
        if let Ok(text) = value.cast::<PyString>() {
            self.text(text)
        } else if value.is_instance_of::<PyInt>() {
            match value.cast::<PyBool>() {
                Ok(truth) => msgpack::write_bool(self.out, truth.is_true()),
                Err(_) => return self.int(value),
            }
            Ok(())
        } else if let Ok(float) = value.cast_exact::<PyFloat>() {
            self.float(float)
        } else if let Ok(dict) = value.cast::<PyDict>() {
            self.nested(|this| this.dict(dict))
        } else if let Ok(list) = value.cast::<PyList>() {
            self.nested(|this| this.array(list.iter()))
        } else if let Ok(tuple) = value.cast::<PyTuple>() {
            self.nested(|this| this.array(tuple.iter()))
        } else if value.is_none() {
            msgpack::write_nil(self.out);
            Ok(())
        } else if let Ok(float) = value.cast::<PyFloat>() {
            self.float(float)
        } else if let Ok(bytes) = value.cast::<PyBytes>() {
            length(bytes.as_bytes().len())?;
            msgpack::write_bin(self.out, bytes.as_bytes());
            Ok(())
        } else if let Ok(moment) = value.cast::<PyDateTime>() {
            self.moment(moment)
        } else {
            let kind = value.get_type().name().map_or_else(|_| "object".to_owned(), |name| name.to_string());
            refuse(Why::Type(format!("a value of type {kind}")))
        }
    }

    fn text(&mut self, text: &Bound<'_, PyString>) -> Encoded {
        let Ok(text) = text.to_str() else {
            return refuse(Why::Type("text with a lone surrogate".to_owned()));
        };
        length(text.len())?;
        msgpack::write_str(self.out, text);
        Ok(())
    }

    fn int(&mut self, int: &Bound<'_, PyAny>) -> Encoded {
        if let Ok(value) = int.extract::<i64>() {
            msgpack::write_int(self.out, value);
        } else if let Ok(value) = int.extract::<u64>() {
            msgpack::write_uint(self.out, value);
        } else {
            return refuse(Why::Type("an int beyond 64 bits".to_owned()));
        }
        Ok(())
    }

    fn float(&mut self, float: &Bound<'_, PyFloat>) -> Encoded {
        let value = float.value();
        let narrow = value as f32;
        if narrow.is_infinite() && value.is_finite() {
            return refuse(Why::Overflow(format!("float too large for single precision ({value:e})")));
        }
        if self.in_key && value.is_nan() {
            return refuse(Why::Type("NaN, which no reader could find again".to_owned()));
        }
        msgpack::write_f32(self.out, narrow);
        Ok(())
    }

    fn moment(&mut self, moment: &Bound<'_, PyDateTime>) -> Encoded {
        match moment::to_timestamp(moment) {
            Ok(Some(value)) => {
                msgpack::write_timestamp(self.out, value);
                Ok(())
            }
            Ok(None) => refuse(Why::Overflow("datetime outside of the years 1 to 9999 in UTC".to_owned())),
            Err(error) => refuse(Why::Raised(error)),
        }
    }

    /// Writes a container one level deeper.
    fn nested(&mut self, write: impl FnOnce(&mut Self) -> Encoded) -> Encoded {
        if self.depth >= limits::MAX_DEPTH {
            let deepest = limits::MAX_DEPTH;
            return refuse(Why::Type(format!(
                "what is nested more than {deepest} levels deep, or contains itself,"
            )));
        }
        self.depth += 1;
        let done = write(self);
        self.depth -= 1;
        done
    }

    fn array(&mut self, values: impl Iterator<Item = Bound<'py, PyAny>>) -> Encoded {
        let first = self.waiting.len();
        self.waiting.extend(values.map(Some));
        let last = self.waiting.len();
        msgpack::write_array_len(self.out, length(last - first)?);
        for place in first..last {
            let value = self.take(place)?;
            self.value(&value).map_err(|refusal| refusal.inside(Step::Index(place - first)))?;
        }
        self.waiting.truncate(first);
        Ok(())
    }

    fn dict(&mut self, dict: &Bound<'py, PyDict>) -> Encoded {
        if self.in_key {
            return refuse(Why::Type("a dict".to_owned()));
        }
        let first = self.waiting.len();
        take_items(dict, &mut self.waiting).or_else(|error| refuse(Why::Raised(error)))?;
        let last = self.waiting.len();
        let items = (last - first) / 2;
        let start = self.out.len();
        let mut uncommon = false;
        msgpack::write_map_len(self.out, length(items)?);
        for place in (first..last).step_by(2) {
            let (key, value) = (self.take(place)?, self.take(place + 1)?);
            if let Ok(name) = key.cast_exact::<PyString>() {
                self.text(name).map_err(|refusal| refusal.inside(Step::InKey(representation(&key))))?;
            } else {
                uncommon |= !key.is_exact_instance_of::<PyInt>();
                self.in_key = true;
                let written = self.value(&key);
                self.in_key = false;
                written.map_err(|refusal| refusal.inside(Step::InKey(representation(&key))))?;
            }
            self.value(&value).map_err(|refusal| refusal.inside(step(&key)))?;
        }
        self.waiting.truncate(first);
        // Keys that differ here can be equal there: floats that are rounded, moments that lose their zone.
        let written = self.out.get(start..).unwrap_or_default();
        if uncommon && items > 1 && msgpack::check(written, Limits::LOCAL).is_err() {
            return refuse(Why::Type(
                "a dict with two keys that would be received as the same key".to_owned(),
            ));
        }
        Ok(())
    }

    fn take(&mut self, place: usize) -> Result<Bound<'py, PyAny>, Box<Refusal>> {
        let value = self.waiting.get_mut(place).and_then(Option::take);
        value.map_or_else(|| refuse(Why::Type("what changed meanwhile".to_owned())), Ok)
    }
}

/// Appends the keys and values of a dict, in turn.
fn take_items<'py>(dict: &Bound<'py, PyDict>, waiting: &mut Vec<Option<Bound<'py, PyAny>>>) -> PyResult<()> {
    if !dict.is_exact_instance_of::<PyDict>() {
        // A subclass may have an order of its own.
        for item in dict.call_method0("items")?.try_iter()? {
            let (key, value) = item?.extract::<(Bound<'py, PyAny>, Bound<'py, PyAny>)>()?;
            waiting.push(Some(key));
            waiting.push(Some(value));
        }
        return Ok(());
    }
    let waiting = RefCell::new(waiting);
    dict.locked_for_each(|key, value| {
        // One after the other: as a pair they would take a detour through memory.
        let mut waiting = waiting.borrow_mut();
        waiting.push(Some(key));
        waiting.push(Some(value));
        Ok(())
    })
}

fn length(length: usize) -> Result<u32, Box<Refusal>> {
    u32::try_from(length).or_else(|_| refuse(Why::Type("more than 4294967295 elements or bytes".to_owned())))
}

#[cold]
fn refuse<T>(why: Why) -> Result<T, Box<Refusal>> {
    Err(Box::new(Refusal { why, steps: Vec::new() }))
}

/// How the value of a key is called in a path.
fn step(key: &Bound<'_, PyAny>) -> Step {
    match key.extract::<String>() {
        Ok(name) if is_name(&name) => Step::Name(name),
        _ => Step::Key(representation(key)),
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c == '_' || c.is_alphanumeric())
}

fn representation(key: &Bound<'_, PyAny>) -> String {
    key.repr().map_or_else(|_| "?".to_owned(), |text| text.to_string_lossy().into_owned())
}

impl Refusal {
    #[cold]
    #[allow(clippy::unnecessary_box_returns, reason = "it stays in the box it came in")]
    fn inside(mut self: Box<Self>, step: Step) -> Box<Self> {
        self.steps.push(step);
        self
    }

    fn into_error(self, path: &str) -> PyErr {
        let place = self.place(path);
        match self.why {
            Why::Type(what) => PyTypeError::new_err(format!("cannot serialise {what}{place}")),
            Why::Overflow(what) => PyOverflowError::new_err(format!("{what}{place}")),
            Why::Raised(error) => error,
        }
    }

    /// The path as it would be written in Python, as far as it is of use.
    fn place(&self, path: &str) -> String {
        const MOST_STEPS: usize = 12;
        let (mut place, mut key_of) = (path.to_owned(), None);
        for (number, step) in self.steps.iter().rev().enumerate() {
            if number == MOST_STEPS {
                place.push_str("...");
                break;
            }
            let part = match step {
                Step::Index(_) if key_of.is_some() => String::new(),
                Step::Index(index) => format!("[{index}]"),
                Step::Name(name) if place.is_empty() => name.clone(),
                Step::Name(name) => format!(".{name}"),
                Step::Key(key) => format!("[{key}]"),
                Step::InKey(key) => {
                    key_of = Some(key);
                    String::new()
                }
            };
            place.push_str(&part);
        }
        match (key_of, place.is_empty()) {
            (None, true) => String::new(),
            (None, false) => format!(" at {place}"),
            (Some(key), true) => format!(" in the key {key}"),
            (Some(key), false) => format!(" in the key {key} of {place}"),
        }
    }
}
