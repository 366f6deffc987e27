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
    let mut encoder = Encoder { out: Vec::new(), depth: 0, in_key: false };
    match encoder.value(value) {
        Ok(()) => Ok(encoder.out),
        Err(refusal) => Err(refusal.into_error(path)),
    }
}

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

struct Encoder {
    out: Vec<u8>,
    depth: usize,
    in_key: bool,
}

impl Encoder {
    fn value(&mut self, value: &Bound<'_, PyAny>) -> Encoded {
        if let Ok(text) = value.cast::<PyString>() {
            self.text(text)
        } else if let Ok(truth) = value.cast::<PyBool>() {
            msgpack::write_bool(&mut self.out, truth.is_true());
            Ok(())
        } else if value.is_instance_of::<PyInt>() {
            self.int(value)
        } else if let Ok(float) = value.cast::<PyFloat>() {
            self.float(float)
        } else if value.is_none() {
            msgpack::write_nil(&mut self.out);
            Ok(())
        } else if let Ok(dict) = value.cast::<PyDict>() {
            self.nested(|this| this.dict(dict))
        } else if let Ok(list) = value.cast::<PyList>() {
            // Taken at once: code of time zones may run below and change the list.
            let values: Vec<_> = list.iter().collect();
            self.nested(|this| this.array(&values))
        } else if let Ok(tuple) = value.cast::<PyTuple>() {
            let values: Vec<_> = tuple.iter().collect();
            self.nested(|this| this.array(&values))
        } else if let Ok(bytes) = value.cast::<PyBytes>() {
            length(bytes.as_bytes().len())?;
            msgpack::write_bin(&mut self.out, bytes.as_bytes());
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
        msgpack::write_str(&mut self.out, text);
        Ok(())
    }

    fn int(&mut self, int: &Bound<'_, PyAny>) -> Encoded {
        if let Ok(value) = int.extract::<i64>() {
            msgpack::write_int(&mut self.out, value);
        } else if let Ok(value) = int.extract::<u64>() {
            msgpack::write_uint(&mut self.out, value);
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
        msgpack::write_f32(&mut self.out, narrow);
        Ok(())
    }

    fn moment(&mut self, moment: &Bound<'_, PyDateTime>) -> Encoded {
        match moment::to_timestamp(moment) {
            Ok(Some(value)) => {
                msgpack::write_timestamp(&mut self.out, value);
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

    fn array(&mut self, values: &[Bound<'_, PyAny>]) -> Encoded {
        msgpack::write_array_len(&mut self.out, length(values.len())?);
        for (index, value) in values.iter().enumerate() {
            self.value(value).map_err(|refusal| refusal.inside(Step::Index(index)))?;
        }
        Ok(())
    }

    fn dict(&mut self, dict: &Bound<'_, PyDict>) -> Encoded {
        if self.in_key {
            return refuse(Why::Type("a dict".to_owned()));
        }
        let items = items(dict).or_else(|error| refuse(Why::Raised(error)))?;
        let start = self.out.len();
        let mut uncommon = false;
        msgpack::write_map_len(&mut self.out, length(items.len())?);
        for (key, value) in &items {
            uncommon |= !(key.is_exact_instance_of::<PyString>() || key.is_exact_instance_of::<PyInt>());
            self.in_key = true;
            let written = self.value(key);
            self.in_key = false;
            written.map_err(|refusal| refusal.inside(Step::InKey(representation(key))))?;
            self.value(value).map_err(|refusal| refusal.inside(step(key)))?;
        }
        // Keys that differ here can be equal there: floats that are rounded, moments that lose their zone.
        let written = self.out.get(start..).unwrap_or_default();
        if uncommon && items.len() > 1 && msgpack::check(written, Limits::LOCAL).is_err() {
            return refuse(Why::Type(
                "a dict with two keys that would be received as the same key".to_owned(),
            ));
        }
        Ok(())
    }
}

/// The keys and values of a dict, taken at once: code of time zones may run later and change the dict.
fn items<'py>(dict: &Bound<'py, PyDict>) -> PyResult<Vec<(Bound<'py, PyAny>, Bound<'py, PyAny>)>> {
    if !dict.is_exact_instance_of::<PyDict>() {
        // A subclass may have an order of its own.
        return dict.call_method0("items")?.try_iter()?.map(|item| item?.extract()).collect();
    }
    let items = RefCell::new(Vec::with_capacity(dict.len()));
    dict.locked_for_each(|key, value| {
        items.borrow_mut().push((key, value));
        Ok(())
    })?;
    Ok(items.into_inner())
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
