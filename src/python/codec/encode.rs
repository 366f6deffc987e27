//! From Python objects to msgpack.

use std::cell::RefCell;
use std::sync::Mutex;

use pyo3::PyTypeInfo;
use pyo3::exceptions::{PyOverflowError, PyTypeError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{
    PyBool, PyBytes, PyDateTime, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple, PyTzInfoAccess,
};

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
    let careful = !has_gil(value.py())?;
    let mut done = Encoder { out, depth: 0, in_key: false, careful }.value(value);
    if done.as_ref().is_err_and(|refusal| matches!(refusal.why, Why::Careless)) {
        out.clear();
        done = Encoder { out, depth: 0, in_key: false, careful: true }.value(value);
    }
    done.map_err(|refusal| refusal.into_error(path))
}

/// [`encode`] for Python.
pub(crate) fn encode_to_bytes<'py>(value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    let mut kept = KEPT.try_lock().ok();
    let mut own = Vec::new();
    let out = kept.as_deref_mut().unwrap_or(&mut own);
    let bytes = encode_into(value, "", out).map(|()| PyBytes::new(value.py(), out));
    if out.capacity() > MOST_KEPT {
        *out = Vec::new();
    }
    bytes
}

/// Room for most events and updates, in bytes.
const USUAL_SIZE: usize = 512;

/// A buffer that is used again, unless another thread uses it.
static KEPT: Mutex<Vec<u8>> = Mutex::new(Vec::new());
/// What it may grow to, in bytes.
const MOST_KEPT: usize = 1 << 16;

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
    /// No error: all has to be written again, carefully.
    Careless,
}

enum Step {
    Index(usize),
    Name(String),
    Key(String),
    /// The key itself, not its value.
    InKey(String),
}

type Encoded = Result<(), Box<Refusal>>;

struct Encoder<'b> {
    out: &'b mut Vec<u8>,
    depth: usize,
    in_key: bool,
    /// Whether other code may run meanwhile and change a container that is being written, the code of a time zone
    /// for example: then each is copied first.
    careful: bool,
}

impl<'py> Encoder<'_> {
    /// Writes what most values are, here and now, for those who write many.
    #[allow(clippy::inline_always, reason = "a call for each number costs more than writing it")]
    #[inline(always)]
    fn value(&mut self, value: &Bound<'py, PyAny>) -> Encoded {
        if let Some(text) = exactly::<PyString>(value) {
            self.text(text)
        } else if let Some(int) = exactly::<PyInt>(value) {
            self.int(int)
        } else if let Some(float) = exactly::<PyFloat>(value) {
            self.float(float)
        } else {
            self.other(value)
        }
    }

    #[inline(never)]
    fn other(&mut self, value: &Bound<'py, PyAny>) -> Encoded {
        if let Some(dict) = kind_of::<PyDict>(value) {
            self.nested(|this| this.dict(dict))
        } else if let Some(list) = kind_of::<PyList>(value) {
            self.nested(|this| this.list(list))
        } else if let Some(tuple) = kind_of::<PyTuple>(value) {
            self.nested(|this| this.array(tuple.iter()))
        } else if let Some(truth) = kind_of::<PyBool>(value) {
            msgpack::write_bool(self.out, truth.is_true());
            Ok(())
        } else if value.is_none() {
            msgpack::write_nil(self.out);
            Ok(())
        } else if let Some(text) = kind_of::<PyString>(value) {
            self.text(text)
        } else if let Some(int) = kind_of::<PyInt>(value) {
            self.int(int)
        } else if let Some(float) = kind_of::<PyFloat>(value) {
            self.float(float)
        } else if let Some(bytes) = kind_of::<PyBytes>(value) {
            length(bytes.as_bytes().len())?;
            msgpack::write_bin(self.out, bytes.as_bytes());
            Ok(())
        } else if let Some(moment) = kind_of::<PyDateTime>(value) {
            self.moment(moment)
        } else {
            let kind = value.get_type().name().map_or_else(|_| "object".to_owned(), |name| name.to_string());
            refuse(Why::Type(format!("a value of type {kind}")))
        }
    }

    #[inline]
    fn text(&mut self, text: &Bound<'_, PyString>) -> Encoded {
        let Ok(text) = text.to_str() else {
            return refuse(Why::Type("text with a lone surrogate".to_owned()));
        };
        length(text.len())?;
        msgpack::write_str(self.out, text);
        Ok(())
    }

    #[inline]
    fn int(&mut self, int: &Bound<'_, PyInt>) -> Encoded {
        if let Ok(value) = int.extract::<i64>() {
            msgpack::write_int(self.out, value);
        } else if let Ok(value) = int.extract::<u64>() {
            msgpack::write_uint(self.out, value);
        } else {
            return refuse(Why::Type("an int beyond 64 bits".to_owned()));
        }
        Ok(())
    }

    #[inline]
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
        if !self.careful && moment.get_tzinfo().is_some() {
            return refuse(Why::Careless);
        }
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

    fn list(&mut self, list: &Bound<'py, PyList>) -> Encoded {
        if self.careful {
            return self.array(list.iter().collect::<Vec<_>>().into_iter());
        }
        self.array(list.iter())
    }

    fn array(&mut self, values: impl ExactSizeIterator<Item = Bound<'py, PyAny>>) -> Encoded {
        msgpack::write_array_len(self.out, length(values.len())?);
        for (index, value) in values.enumerate() {
            self.value(&value).map_err(|refusal| refusal.inside(Step::Index(index)))?;
        }
        Ok(())
    }

    fn dict(&mut self, dict: &Bound<'py, PyDict>) -> Encoded {
        if self.in_key {
            return refuse(Why::Type("a dict".to_owned()));
        }
        let plain = dict.is_exact_instance_of::<PyDict>();
        if self.careful {
            let items = copy(dict, plain).or_else(|error| refuse(Why::Raised(error)))?;
            self.items(items.into_iter())
        } else if plain {
            self.items(dict.iter())
        } else {
            refuse(Why::Careless)
        }
    }

    fn items(&mut self, items: impl ExactSizeIterator<Item = Item<'py>>) -> Encoded {
        let (start, count) = (self.out.len(), items.len());
        let mut uncommon = false;
        msgpack::write_map_len(self.out, length(count)?);
        for (key, value) in items {
            if let Some(name) = exactly::<PyString>(&key) {
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
        // Keys that differ here can be equal there: floats that are rounded, moments that lose their zone.
        let written = self.out.get(start..).unwrap_or_default();
        if uncommon && count > 1 && msgpack::check(written, Limits::LOCAL).is_err() {
            return refuse(Why::Type(
                "a dict with two keys that would be received as the same key".to_owned(),
            ));
        }
        Ok(())
    }
}

type Item<'py> = (Bound<'py, PyAny>, Bound<'py, PyAny>);

/// The items of a dict.
fn copy<'py>(dict: &Bound<'py, PyDict>, plain: bool) -> PyResult<Vec<Item<'py>>> {
    if !plain {
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

/// Whether no other thread runs Python code until this one lets it.
fn has_gil(py: Python<'_>) -> PyResult<bool> {
    static HAS_GIL: PyOnceLock<bool> = PyOnceLock::new();
    HAS_GIL
        .get_or_try_init(py, || {
            let asked = py.import("sys")?.getattr_opt("_is_gil_enabled")?;
            asked.map_or(Ok(true), |asked| asked.call0()?.is_truthy())
        })
        .copied()
}

/// `cast_exact` without its error, which would count a reference to the type it wanted.
#[inline]
fn exactly<'a, 'py, T: PyTypeInfo>(value: &'a Bound<'py, PyAny>) -> Option<&'a Bound<'py, T>> {
    if value.is_exact_instance_of::<T>() { value.cast_exact().ok() } else { None }
}

/// `cast` without its error.
#[inline]
fn kind_of<'a, 'py, T: PyTypeInfo>(value: &'a Bound<'py, PyAny>) -> Option<&'a Bound<'py, T>> {
    if value.is_instance_of::<T>() { value.cast().ok() } else { None }
}

fn length(length: usize) -> Result<u32, Box<Refusal>> {
    u32::try_from(length).or_else(|_| refuse(Why::Type("more than 4294967295 elements or bytes".to_owned())))
}

#[cold]
#[inline(never)]
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
            Why::Careless => PyTypeError::new_err("cannot serialise what changes meanwhile"),
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
