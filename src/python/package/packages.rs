//! The three packages: a header, what the sender's role puts between, events.

use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Mutex, PoisonError};

use pyo3::exceptions::{PyAttributeError, PyOverflowError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyTuple, PyType};

use super::Header;
use crate::python::codec::{bytes_of, encode_into};
use crate::python::{errors, shim};
use crate::wire::{self, Body, Kind, PackageWriter, Sqn, WireError, limits, msgpack};

/// A header and events, as they travel in one datagram.
///
/// Args:
///     header: The header.
///     events: The events; more can be added.
#[pyclass(frozen, subclass, dict, weakref, module = "pygase.connection")]
#[derive(Debug)]
pub(crate) struct Package {
    header: Mutex<Option<Py<Header>>>,
    /// Always there; an `Option` because `CPython` 3.11 and 3.12 make the instance dict, and may collect garbage at
    /// it, between allocating an object and `PyO3` filling it in: until then this has to read as None.
    events: Option<Py<PyList>>,
    /// Whether the datagram was built or came from one: from then on events have to fit.
    built: AtomicBool,
}

impl Package {
    fn empty(py: Python<'_>) -> Self {
        let events = Some(PyList::empty(py).unbind());
        Self { header: Mutex::new(None), events, built: AtomicBool::new(false) }
    }

    fn own_events<'py>(&self, py: Python<'py>) -> Bound<'py, PyList> {
        self.events.as_ref().map_or_else(|| PyList::empty(py), |events| events.bind(py).clone())
    }

    fn fill(&self, header: Bound<'_, Header>, events: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let own = self.own_events(header.py());
        let events = events.map(|events| events.try_iter()?.collect::<PyResult<Vec<_>>>()).transpose()?;
        own.set_slice(0, own.len(), PyList::new(own.py(), events.unwrap_or_default())?.as_any())?;
        self.set_header(header);
        Ok(())
    }
}

#[pymethods]
impl Package {
    /// Seconds after which a package that was not acknowledged counts as lost.
    #[classattr]
    fn _timeout() -> f64 {
        1.0
    }

    /// The largest datagram in bytes.
    #[classattr]
    fn _max_size() -> usize {
        limits::MAX_DATAGRAM
    }

    #[new]
    #[pyo3(signature = (*_args, **_kwargs), text_signature = "(header, events=None)")]
    fn new(py: Python<'_>, _args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self::empty(py)
    }

    // Apart from `__new__`, so that a subclass can have arguments of its own.
    #[pyo3(signature = (header, events = None))]
    fn __init__(&self, header: Bound<'_, Header>, events: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        self.fill(header, events)
    }

    /// The header.
    #[getter]
    pub(crate) fn header<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, Header>> {
        let header = self.header.lock().unwrap_or_else(PoisonError::into_inner);
        let header = header.as_ref().map(|header| header.bind(py).clone());
        header.ok_or_else(|| PyAttributeError::new_err("the package was not given a header"))
    }

    #[setter]
    fn set_header(&self, header: Bound<'_, Header>) {
        let header = Some(header.unbind());
        let old = std::mem::replace(&mut *self.header.lock().unwrap_or_else(PoisonError::into_inner), header);
        // Only now: what is dropped may run Python code.
        drop(old);
    }

    /// The events, in a list of their own.
    #[getter]
    pub(crate) fn events<'py>(&self, py: Python<'py>) -> Bound<'py, PyList> {
        let events = self.own_events(py);
        events.get_slice(0, events.len())
    }

    /// Add an event.
    ///
    /// Raises:
    ///     OverflowError: The datagram has been built before, and has no room for the event.
    fn add_event(slf: &Bound<'_, Self>, event: &Bound<'_, PyAny>) -> PyResult<()> {
        let this = slf.get();
        if this.built.load(Ordering::Relaxed) {
            let most = max_size(slf)?;
            let mut own = Vec::new();
            bytes_in(event, &mut own)?;
            let size = build(slf)?.len() + 2 + own.len();
            if size > most {
                return Err(PyOverflowError::new_err(too_large(most)));
            }
        }
        this.own_events(slf.py()).append(event)
    }

    /// Return the size of the datagram in bytes.
    ///
    /// Raises:
    ///     OverflowError: The datagram would be larger than a package may be.
    fn get_bytesize(slf: &Bound<'_, Self>) -> PyResult<usize> {
        slf.call_method0("to_datagram")?.len()
    }

    /// Return the datagram.
    ///
    /// Raises:
    ///     OverflowError: The datagram would be larger than a package may be.
    fn to_datagram<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyBytes>> {
        let datagram = build(slf)?;
        slf.get().built.store(true, Ordering::Relaxed);
        Ok(PyBytes::new(slf.py(), &datagram))
    }

    /// Make a package from a datagram.
    ///
    /// Raises:
    ///     ProtocolIDMismatchError: The datagram does not begin with the PyGaSe protocol id.
    ///     TypeError: The datagram is malformed (the error is a `ValueError` as well).
    #[classmethod]
    fn from_datagram<'py>(
        cls: &Bound<'py, PyType>,
        datagram: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = cls.py();
        let kind = if cls.is_subclass_of::<ClientPackage>()? {
            Kind::Client
        } else if cls.is_subclass_of::<ServerPackage>()? {
            Kind::Server
        } else {
            Kind::Plain
        };
        let datagram = bytes_of(datagram)?;
        let package = wire::Package::split(kind, &datagram).map_err(|error| match error {
            // Too large to be read, where the same error of a package that is written is an OverflowError.
            WireError::TooLarge { .. } => errors::decode_error(error.to_string()),
            _ => error.into(),
        })?;
        let header = Bound::new(py, Header::wrap(package.header))?;
        let update = match package.body {
            Body::Server { update } => Some(read_update(py, update)?),
            Body::Plain | Body::Client { .. } => None,
        };
        let events = PyList::empty(py);
        for event in package.events() {
            events.append(read_event(py, event)?)?;
        }
        let made = match package.body {
            Body::Plain => cls.call1((header, events))?,
            Body::Client { time_order } => cls.call1((header, time_order.value(), events))?,
            Body::Server { .. } => cls.call1((header, update, events))?,
        };
        made.cast::<Self>()?.get().built.store(true, Ordering::Relaxed);
        Ok(made)
    }

    fn __eq__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<bool> {
        let Ok(that) = other.cast::<Self>() else { return Ok(false) };
        Ok(other.is_instance(&slf.get_type())?
            && arguments(slf)?.eq(arguments(that)?)?
            && slf.getattr("__dict__")?.eq(other.getattr("__dict__")?)?)
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        Ok(format!("{}{}", slf.get_type().name()?, arguments(slf)?.repr()?))
    }

    fn __reduce__<'py>(
        slf: &Bound<'py, Self>,
    ) -> PyResult<(Bound<'py, PyType>, Bound<'py, PyTuple>, Bound<'py, PyAny>)> {
        Ok((slf.get_type(), arguments(slf)?, slf.getattr("__dict__")?))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.events)?;
        match self.header.try_lock() {
            Ok(header) => visit.call(&*header),
            Err(_) => Ok(()),
        }
    }

    fn __clear__(&self) {
        if let Ok(mut header) = self.header.try_lock() {
            let old = header.take();
            drop(header);
            drop(old);
        }
    }
}

/// A package from a client to a server.
///
/// Args:
///     header: The header.
///     time_order: The newest time order of the game state the client holds, or 0 for none.
///     events: The events; more can be added.
#[pyclass(frozen, subclass, extends = Package, module = "pygase.connection")]
#[derive(Debug, Default)]
pub(crate) struct ClientPackage {
    time_order: AtomicU16,
}

#[pymethods]
impl ClientPackage {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs), text_signature = "(header, time_order, events=None)")]
    fn new(
        py: Python<'_>,
        _args: &Bound<'_, PyTuple>,
        _kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyClassInitializer<Self> {
        PyClassInitializer::from(Package::empty(py)).add_subclass(Self::default())
    }

    #[pyo3(signature = (header, time_order, events = None))]
    fn __init__(
        slf: &Bound<'_, Self>,
        header: Bound<'_, Header>,
        time_order: &Bound<'_, PyAny>,
        events: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        slf.get().set_time_order(time_order)?;
        slf.as_super().get().fill(header, events)
    }

    /// The newest time order of the game state the client holds.
    #[getter]
    fn time_order<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        shim::to_sqn(py, self.value())
    }

    #[setter]
    fn set_time_order(&self, time_order: &Bound<'_, PyAny>) -> PyResult<()> {
        self.time_order.store(shim::from_sqn(time_order)?.value(), Ordering::Relaxed);
        Ok(())
    }
}

impl ClientPackage {
    fn value(&self) -> Sqn {
        Sqn::new(self.time_order.load(Ordering::Relaxed))
    }
}

/// A package from a server to a client.
///
/// Args:
///     header: The header.
///     game_state_update: What changes the client's game state.
///     events: The events; more can be added.
#[pyclass(frozen, subclass, extends = Package, module = "pygase.connection")]
#[derive(Debug, Default)]
pub(crate) struct ServerPackage {
    game_state_update: Mutex<Option<Py<PyAny>>>,
}

#[pymethods]
impl ServerPackage {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs), text_signature = "(header, game_state_update, events=None)")]
    fn new(
        py: Python<'_>,
        _args: &Bound<'_, PyTuple>,
        _kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyClassInitializer<Self> {
        PyClassInitializer::from(Package::empty(py)).add_subclass(Self::default())
    }

    #[pyo3(signature = (header, game_state_update, events = None))]
    fn __init__(
        slf: &Bound<'_, Self>,
        header: Bound<'_, Header>,
        game_state_update: Py<PyAny>,
        events: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        slf.get().set_game_state_update(game_state_update);
        slf.as_super().get().fill(header, events)
    }

    /// What changes the client's game state.
    #[getter]
    fn game_state_update(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let update = self.game_state_update.lock().unwrap_or_else(PoisonError::into_inner);
        let update = update.as_ref().map(|update| update.clone_ref(py));
        update.ok_or_else(|| PyAttributeError::new_err("the package was not given a game state update"))
    }

    #[setter]
    fn set_game_state_update(&self, game_state_update: Py<PyAny>) {
        let update = Some(game_state_update);
        let mut own = self.game_state_update.lock().unwrap_or_else(PoisonError::into_inner);
        let old = std::mem::replace(&mut *own, update);
        drop(own);
        drop(old);
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self.game_state_update.try_lock() {
            Ok(update) => visit.call(&*update),
            Err(_) => Ok(()),
        }
    }

    fn __clear__(&self) {
        if let Ok(mut update) = self.game_state_update.try_lock() {
            let old = update.take();
            drop(update);
            drop(old);
        }
    }
}

/// What a package of this kind is made of, in the order of its constructor.
fn arguments<'py>(package: &Bound<'py, Package>) -> PyResult<Bound<'py, PyTuple>> {
    let (py, this) = (package.py(), package.get());
    if let Ok(package) = package.cast::<ClientPackage>() {
        (this.header(py)?, package.get().time_order(py)?, this.events(py)).into_pyobject(py)
    } else if let Ok(package) = package.cast::<ServerPackage>() {
        (this.header(py)?, package.get().game_state_update(py)?, this.events(py)).into_pyobject(py)
    } else {
        (this.header(py)?, this.events(py)).into_pyobject(py)
    }
}

/// An event of a datagram; an error for what is none.
fn read_event<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    if let Some(event) = shim::read_event(py, bytes)? {
        return Ok(event);
    }
    msgpack::check_event(bytes)?;
    shim::event_class(py)?.call_method1("from_bytes", (PyBytes::new(py, bytes),))
}

/// The update of a datagram; an error for what is none.
fn read_update<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    if let Some(update) = shim::read_update(py, bytes)? {
        return Ok(update);
    }
    msgpack::check_update(bytes)?;
    shim::game_state_update_class(py)?.call_method1("from_bytes", (PyBytes::new(py, bytes),))
}

/// The datagram of a package of any kind.
pub(crate) fn build(package: &Bound<'_, Package>) -> PyResult<Vec<u8>> {
    let (py, this) = (package.py(), package.get());
    let most = max_size(package)?;
    let refuse = || {
        PyOverflowError::new_err(if package.is_instance_of::<ServerPackage>() {
            format!("package exceeds the maximum size of {most} bytes")
        } else {
            too_large(most)
        })
    };
    let mut scratch = Vec::with_capacity(limits::MAX_DATAGRAM);
    let body = if let Ok(package) = package.cast::<ClientPackage>() {
        Body::Client { time_order: package.get().value() }
    } else if let Ok(package) = package.cast::<ServerPackage>() {
        bytes_in(package.get().game_state_update(py)?.bind(py), &mut scratch)?;
        Body::Server { update: &scratch }
    } else {
        Body::Plain
    };
    let mut datagram = Vec::with_capacity(limits::MAX_DATAGRAM);
    let header = this.header(py)?.get().value();
    let mut writer = PackageWriter::new(&mut datagram, header, body).map_err(|_| refuse())?;
    for event in this.own_events(py).iter() {
        bytes_in(&event, &mut scratch)?;
        if !writer.push_event(&scratch, most) {
            return Err(refuse());
        }
    }
    if datagram.len() > most {
        return Err(refuse());
    }
    Ok(datagram)
}

/// Puts what an event or update is as bytes in the place of what is in `out`.
fn bytes_in(sendable: &Bound<'_, PyAny>, out: &mut Vec<u8>) -> PyResult<()> {
    if let Some(attributes) = shim::plain_attributes(sendable)? {
        return encode_into(attributes.as_any(), "", out);
    }
    let bytes = sendable.call_method0("to_bytes")?;
    out.clear();
    out.extend_from_slice(bytes.cast::<PyBytes>()?.as_bytes());
    Ok(())
}

/// The largest datagram of a package of this class.
pub(crate) fn max_size(package: &Bound<'_, Package>) -> PyResult<usize> {
    package.getattr("_max_size")?.extract()
}

fn too_large(most: usize) -> String {
    format!("Package exceeds the maximum size of {most} bytes.")
}
