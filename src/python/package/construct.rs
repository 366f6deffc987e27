//! Calls of the class `Header`, without the tuple, `__new__` and `__init__` that a call of any class goes through.
//!
//! A header made and turned into bytes takes a quarter less so. All but three sound arguments by position still go the
//! way of any class, which also says what is wrong with them.
#![allow(unsafe_code, reason = "PyO3 knows no other way to give a class a vectorcall")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType};

use super::Header;

/// Has the class `Header` called by way of [`vectorcall`]. Subclasses do not inherit that.
pub(crate) fn shorten_calls(py: Python<'_>) {
    let class = py.get_type::<Header>().as_type_ptr();
    // SAFETY: it points to a type that lives as long as its module, which is only being made: nobody calls it yet.
    unsafe { (*class).tp_vectorcall = Some(vectorcall) };
}

/// What Python has a `vectorcallfunc` be: `args` has `count` arguments by position and then one for each of `names`,
/// a tuple or null. Gives a new object, or null with an exception set.
unsafe extern "C" fn vectorcall(
    class: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    count: usize,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: a thread that calls objects is attached to its interpreter.
    let py = unsafe { Python::assume_attached() };
    let construct = || {
        // SAFETY: the caller holds what it gives until this returns.
        let (class, names) = unsafe { (Borrowed::from_ptr(py, class), Borrowed::from_ptr_or_opt(py, names)) };
        // SAFETY: only the bits of the number are looked at.
        let count = unsafe { ffi::PyVectorcall_NARGS(count) }.cast_unsigned();
        // SAFETY: asked only for arguments that are there, which the caller holds too.
        let argument = |index| unsafe { Borrowed::from_ptr(py, *args.add(index)) };
        if count == 3
            && names.is_none()
            && let Ok(value) = Header::parse(&argument(0), &argument(1), &argument(2))
        {
            return Bound::new(py, Header::wrap(value)).map(Bound::into_any);
        }
        let keywords = PyDict::new(py);
        if let Some(names) = names {
            for (index, name) in names.cast::<PyTuple>()?.iter().enumerate() {
                keywords.set_item(name, argument(count + index))?;
            }
        }
        let all: Vec<_> = [class].into_iter().chain((0..count).map(argument)).collect();
        py.get_type::<PyType>().getattr("__call__")?.call(PyTuple::new(py, all)?, Some(&keywords))
    };
    // Nothing may unwind into Python.
    let made = catch_unwind(AssertUnwindSafe(construct));
    match made.unwrap_or_else(|_| Err(PyRuntimeError::new_err("a panic in the core"))) {
        Ok(header) => header.into_ptr(),
        Err(error) => {
            error.restore(py);
            ptr::null_mut()
        }
    }
}
