//! Sequence arithmetic for any size, behind `pygase.utils.Sqn`.

use pyo3::exceptions::PyOverflowError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::wire::arithmetic;

/// The largest operand of the arithmetic: sums and differences of such numbers stay within 128 bits.
const LARGEST: i128 = i128::MAX / 4;

/// An operand; sequence numbers that are larger have no arithmetic.
fn operand(value: i128) -> PyResult<i128> {
    if (-LARGEST..=LARGEST).contains(&value) {
        Ok(value)
    } else {
        Err(PyOverflowError::new_err("number too large for sequence arithmetic"))
    }
}

/// Returns `a + b`, wrapped past `max` to 1.
#[pyfunction]
pub(crate) fn sqn_add(a: i128, b: i128, max: i128) -> PyResult<i128> {
    Ok(arithmetic::add(operand(a)?, operand(b)?, operand(max)?))
}

/// Returns `a - b`, the shorter way around.
#[pyfunction]
pub(crate) fn sqn_sub(a: i128, b: i128, max: i128) -> PyResult<i128> {
    Ok(arithmetic::sub(operand(a)?, operand(b)?, operand(max)?))
}

/// Returns whether `a` comes after `b` in wrap-around order.
#[pyfunction]
pub(crate) fn sqn_newer(a: i128, b: i128, max: i128) -> PyResult<bool> {
    Ok(arithmetic::newer(operand(a)?, operand(b)?, operand(max)?))
}

/// Returns a number as `size` bytes, big endian.
#[pyfunction]
pub(crate) fn sqn_to_bytes(py: Python<'_>, value: u128, size: usize) -> PyResult<Bound<'_, PyBytes>> {
    let bytes = value.to_be_bytes();
    let digits = bytes.iter().skip_while(|byte| **byte == 0).count();
    if digits > size {
        return Err(PyOverflowError::new_err("int too big to convert"));
    }
    PyBytes::new_with(py, size, |out| {
        for (to, from) in out.iter_mut().rev().zip(bytes.iter().rev()) {
            *to = *from;
        }
        Ok(())
    })
}

/// Returns the number that big endian bytes stand for.
#[pyfunction]
pub(crate) fn sqn_from_bytes(data: &[u8]) -> PyResult<u128> {
    data.iter().try_fold(0u128, |number, byte| {
        let shifted = number.checked_mul(256).ok_or_else(|| PyOverflowError::new_err("too many bytes"))?;
        Ok(shifted | u128::from(*byte))
    })
}
