//! The first twelve bytes of every package.

use std::sync::atomic::{AtomicU64, Ordering};

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyDict, PySlice, PyString, PyTuple, PyType};

use crate::python::codec::bytes_of;
use crate::python::shim;
use crate::wire::{self, HEADER_SIZE, Sqn};

/// Sequence number of a package and what its sender has received.
///
/// Args:
///     sequence: Number of the package, 1 to 65535, or 0 for none.
///     ack: Newest sequence number that was received from the other side, or 0 for none.
///     ack_bitfield: 32 characters '0' and '1', the first for `ack - 1`: which of those were received.
#[pyclass(frozen, subclass, dict, weakref, module = "pygase.connection")]
#[derive(Debug, Default)]
pub(crate) struct Header {
    /// The fields in their order on the wire, all in one word: another thread sees none half set.
    word: AtomicU64,
}

impl Header {
    /// What the wire layer knows it as.
    pub(crate) fn value(&self) -> wire::Header {
        unpack(self.word.load(Ordering::Relaxed))
    }

    pub(super) fn parse(
        sequence: &Bound<'_, PyAny>,
        ack: &Bound<'_, PyAny>,
        ack_bitfield: &Bound<'_, PyAny>,
    ) -> PyResult<wire::Header> {
        Ok(wire::Header {
            sequence: shim::from_sqn(sequence)?,
            ack: shim::from_sqn(ack)?,
            ack_bitfield: parse_bitfield(ack_bitfield)?,
        })
    }

    /// A header for Python.
    pub(crate) fn wrap(value: wire::Header) -> Self {
        Self { word: AtomicU64::new(pack(value)) }
    }

    /// Sets one of the fields; what another thread does to the others meanwhile stays.
    fn change(&self, change: impl Fn(&mut wire::Header)) {
        let changed = |word| {
            let mut value = unpack(word);
            change(&mut value);
            Some(pack(value))
        };
        // Never an error, because there always is a changed one.
        let _ = self.word.fetch_update(Ordering::Relaxed, Ordering::Relaxed, changed);
    }
}

fn pack(value: wire::Header) -> u64 {
    let wire::Header { sequence, ack, ack_bitfield } = value;
    u64::from(sequence.value()) << 48 | u64::from(ack.value()) << 32 | u64::from(ack_bitfield)
}

fn unpack(word: u64) -> wire::Header {
    let (sequence, ack) = (Sqn::new((word >> 48) as u16), Sqn::new((word >> 32) as u16));
    wire::Header { sequence, ack, ack_bitfield: word as u32 }
}

#[pymethods]
impl Header {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs), text_signature = "(sequence, ack, ack_bitfield)")]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self::default()
    }

    // Apart from `__new__`, so that a subclass can have arguments of its own.
    #[pyo3(signature = (sequence, ack, ack_bitfield))]
    fn __init__(
        &self,
        sequence: &Bound<'_, PyAny>,
        ack: &Bound<'_, PyAny>,
        ack_bitfield: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        self.word.store(pack(Self::parse(sequence, ack, ack_bitfield)?), Ordering::Relaxed);
        Ok(())
    }

    /// Number of the package.
    #[getter]
    fn sequence<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        shim::to_sqn(py, self.value().sequence)
    }

    #[setter]
    fn set_sequence(&self, sequence: &Bound<'_, PyAny>) -> PyResult<()> {
        let sequence = shim::from_sqn(sequence)?;
        self.change(|header| header.sequence = sequence);
        Ok(())
    }

    /// Newest sequence number that was received from the other side.
    #[getter]
    fn ack<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        shim::to_sqn(py, self.value().ack)
    }

    #[setter]
    fn set_ack(&self, ack: &Bound<'_, PyAny>) -> PyResult<()> {
        let ack = shim::from_sqn(ack)?;
        self.change(|header| header.ack = ack);
        Ok(())
    }

    /// Which of the 32 numbers before `ack` were received, as characters '0' and '1'.
    #[getter]
    fn ack_bitfield(&self) -> String {
        format_bitfield(self.value().ack_bitfield)
    }

    #[setter]
    fn set_ack_bitfield(&self, ack_bitfield: &Bound<'_, PyAny>) -> PyResult<()> {
        let ack_bitfield = parse_bitfield(ack_bitfield)?;
        self.change(|header| header.ack_bitfield = ack_bitfield);
        Ok(())
    }

    /// Return the twelve bytes of the header.
    fn to_bytearray<'py>(&self, py: Python<'py>) -> Bound<'py, PyByteArray> {
        PyByteArray::new(py, &self.value().encode())
    }

    /// Return the tuple `(sequence, ack, ack_bitfield)`.
    fn destructure<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>, String)> {
        Ok((self.sequence(py)?, self.ack(py)?, self.ack_bitfield()))
    }

    /// Return the header of a datagram and what follows it.
    ///
    /// Raises:
    ///     ProtocolIDMismatchError: The datagram does not begin with the PyGaSe protocol id.
    ///     ValueError: The datagram is too short (the error is a `TypeError` as well).
    #[classmethod]
    fn deconstruct_datagram<'py>(
        cls: &Bound<'py, PyType>,
        datagram: &Bound<'py, PyAny>,
    ) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
        let py = cls.py();
        let bytes = bytes_of(datagram)?;
        let (value, rest) = wire::Header::decode(&bytes)?;
        let header = if cls.is(py.get_type::<Self>()) {
            Bound::new(py, Self::wrap(value))?.into_any()
        } else {
            cls.call1(Self::wrap(value).destructure(py)?)?
        };
        if datagram.is_exact_instance_of::<PyBytes>() {
            return Ok((header, PyBytes::new(py, rest).into_any()));
        }
        let length = isize::try_from(datagram.len()?)?;
        Ok((header, datagram.get_item(PySlice::new(py, HEADER_SIZE.cast_signed(), length, 1))?))
    }

    fn __eq__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<bool> {
        let Ok(that) = other.cast::<Self>() else { return Ok(false) };
        Ok(other.is_instance(&slf.get_type())?
            && slf.get().value() == that.get().value()
            && slf.getattr("__dict__")?.eq(other.getattr("__dict__")?)?)
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let wire::Header { sequence, ack, ack_bitfield } = slf.get().value();
        let (name, sequence, ack) = (slf.get_type().name()?, sequence.value(), ack.value());
        Ok(format!("{name}(sequence={sequence}, ack={ack}, ack_bitfield='{ack_bitfield:032b}')"))
    }

    fn __reduce__<'py>(
        slf: &Bound<'py, Self>,
    ) -> PyResult<(Bound<'py, PyType>, Bound<'py, PyTuple>, Bound<'py, PyAny>)> {
        let arguments = slf.get().destructure(slf.py())?.into_pyobject(slf.py())?;
        Ok((slf.get_type(), arguments, slf.getattr("__dict__")?))
    }
}

/// A bitfield as Python has it.
pub(crate) fn format_bitfield(bitfield: u32) -> String {
    (0..32).rev().map(|bit| if bitfield >> bit & 1 == 1 { '1' } else { '0' }).collect()
}

/// A bitfield from how Python has it.
pub(crate) fn parse_bitfield(bitfield: &Bound<'_, PyAny>) -> PyResult<u32> {
    let text = bitfield.cast::<PyString>().map_err(drop).and_then(|text| text.to_str().map_err(drop));
    let text = text
        .map_err(|()| PyTypeError::new_err("the ack bitfield must be a str of 32 characters '0' and '1'"))?;
    let bits = if text.len() == 32 { eight_at_a_time(text.as_bytes()) } else { None };
    bits.ok_or_else(|| PyValueError::new_err("the ack bitfield must have 32 characters '0' and '1'"))
}

/// The number that characters '0' and '1' stand for; None with other characters.
fn eight_at_a_time(text: &[u8]) -> Option<u32> {
    const ZEROS: u64 = u64::from_be_bytes([b'0'; 8]);
    const ONES: u64 = u64::from_be_bytes([1; 8]);
    // Moves the lowest bit of each byte into the highest byte, in order.
    const GATHER: u64 = 0x0102_0408_1020_4080;
    text.as_chunks().0.iter().try_fold(0, |bits: u32, chunk| {
        let digits = u64::from_be_bytes(*chunk) ^ ZEROS;
        (digits & !ONES == 0).then(|| bits << 8 | (digits.wrapping_mul(GATHER) >> 56) as u32)
    })
}
