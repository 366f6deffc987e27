//! `Connection` as Python sees it; `client` and `server` are what is derived from it.
//!
//! Attributes read and write the machine that the net layer steps; callbacks are numbers there and
//! functions here. The lock of a connection is never held while Python code runs.

mod client;
mod dispatch;
mod server;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicU64},
    time::Duration,
};

use pyo3::{
    PyTraverseError, PyVisit,
    exceptions::PyValueError,
    prelude::*,
    types::{PyBytes, PyDict, PyList, PyTuple},
};

use super::{
    package::Package,
    shim, stats,
    steps::{self, HandClock, Owner},
};
use crate::{
    ClientConnection, Connection,
    connection::{CallbackId, Status},
    endpoint::Peer,
    wire::Sqn,
};
pub(super) use client::{PyClientConnection, client};
pub(super) use dispatch::PyEncodedEvent;
pub(super) use server::{PyServerConnection, peers};

/// The machine behind a connection object.
#[derive(Clone)]
pub(super) enum Core {
    Plain(Arc<Mutex<Connection>>),
    Client(Arc<Mutex<ClientConnection>>),
    Server(Arc<Peer>),
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One peer: events with callbacks, acknowledgements, round trip time.
#[pyclass(frozen, subclass, dict, weakref, name = "Connection", module = "pygase.connection")]
pub(super) struct PyConnection {
    core: Mutex<Core>,
    next_callback: AtomicU64,
    owner: Owner,
    clock: Mutex<HandClock>,
    /// The pairs of functions of which one will be called, by the number that stands for them. Always
    /// there; an `Option` because `CPython` 3.11 and 3.12 make the instance dict, and may collect garbage at
    /// it, between allocating an object and `PyO3` filling it in: until then this has to read as None.
    callbacks: Option<Py<PyDict>>,
}

impl PyConnection {
    fn with_core(py: Python<'_>, core: Core) -> Self {
        let callbacks = Some(PyDict::new(py).unbind());
        Self {
            core: Mutex::new(core),
            next_callback: AtomicU64::new(1),
            owner: Owner::default(),
            clock: Mutex::default(),
            callbacks,
        }
    }

    pub(super) fn core(&self) -> Core {
        lock(&self.core).clone()
    }

    /// Runs `act` on what every kind of connection shares.
    fn with<R>(&self, act: impl FnOnce(&mut Connection) -> R) -> R {
        steps::with(&self.core(), act)
    }

    /// The machine, to be stepped at the time that Python's clock says.
    fn stepped(&self, time: f64) -> PyResult<(Core, Duration)> {
        self.owner.claim_for_steps()?;
        Ok((self.core(), lock(&self.clock).at(time)))
    }

    fn callbacks<'py>(&self, py: Python<'py>) -> Option<&Bound<'py, PyDict>> {
        self.callbacks.as_ref().map(|callbacks| callbacks.bind(py))
    }

    fn hello(&self) -> bool {
        match self.core() {
            Core::Plain(_) => false,
            Core::Client(connection) => lock(&connection).hello(),
            Core::Server(peer) => peer.lock().hello(),
        }
    }
}

#[pymethods]
impl PyConnection {
    #[new]
    #[pyo3(signature = (*args, **_kwargs), text_signature = "(remote_address, event_handler, event_wire=None)")]
    fn new(args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self::with_core(args.py(), Core::Plain(Arc::default()))
    }

    #[pyo3(signature = (remote_address, event_handler, event_wire=None))]
    fn __init__(
        slf: &Bound<'_, Self>,
        remote_address: &Bound<'_, PyAny>,
        event_handler: &Bound<'_, PyAny>,
        event_wire: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        slf.setattr("remote_address", remote_address)?;
        slf.setattr("event_handler", event_handler)?;
        slf.setattr("event_wire", event_wire)?;
        let this = slf.get();
        let config = steps::config_of(slf.as_any(), &this.core())?;
        this.with(|connection| connection.configure(config));
        Ok(())
    }

    #[getter]
    fn local_sequence<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        shim::to_sqn(py, self.with(|connection| connection.local_sequence))
    }

    #[setter]
    fn set_local_sequence(&self, value: u16) {
        self.with(|connection| connection.local_sequence = Sqn::new(value));
    }

    #[getter]
    fn remote_sequence<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        shim::to_sqn(py, self.with(|connection| connection.received.newest))
    }

    #[setter]
    fn set_remote_sequence(&self, value: u16) {
        self.with(|connection| connection.received.newest = Sqn::new(value));
    }

    #[getter]
    fn ack_bitfield(&self) -> String {
        format!("{:032b}", self.with(|connection| connection.received.bitfield))
    }

    #[setter]
    fn set_ack_bitfield(&self, value: &str) -> PyResult<()> {
        let bits = u32::from_str_radix(value, 2).ok().filter(|_| value.len() == 32);
        let bits = bits.ok_or_else(|| {
            PyValueError::new_err(format!("ack_bitfield must be 32 characters '0' or '1', not {value:?}"))
        })?;
        self.with(|connection| connection.received.bitfield = bits);
        Ok(())
    }

    #[getter]
    fn latency(&self) -> f64 {
        self.with(|connection| connection.latency)
    }

    #[setter]
    fn set_latency(&self, seconds: f64) {
        self.with(|connection| connection.latency = seconds);
    }

    #[getter]
    fn status<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        shim::to_status(py, self.with(|connection| connection.status()))
    }

    #[setter]
    fn set_status(&self, value: u8) -> PyResult<()> {
        let status = match value {
            0 => Status::Disconnected,
            1 => Status::Connected,
            2 => Status::Connecting,
            other => return Err(PyValueError::new_err(format!("{other} is not a connection status"))),
        };
        self.with(|connection| connection.set_status(status));
        Ok(())
    }

    #[getter]
    fn quality(&self) -> &'static str {
        self.with(|connection| connection.congestion.quality).as_str()
    }

    #[setter]
    fn set_quality(&self, value: &str) -> PyResult<()> {
        let quality = steps::parse_quality(value)
            .ok_or_else(|| PyValueError::new_err(format!("quality is 'good' or 'bad', not {value:?}")))?;
        self.with(|connection| connection.congestion.quality = quality);
        Ok(())
    }

    /// Seconds between packages at the present quality.
    #[getter(_package_interval)]
    fn package_interval(&self) -> f64 {
        self.with(|connection| connection.nominal_interval()).as_secs_f64()
    }

    #[setter(_package_interval)]
    fn set_package_interval(&self, seconds: f64) {
        self.with(|connection| connection.congestion.set_interval = Some(seconds));
    }

    /// Takes note of a received sequence number. DuplicateSequenceError if it came before.
    fn _update_remote_info(&self, received_sequence: &Bound<'_, PyAny>) -> PyResult<()> {
        self.owner.claim_for_steps()?;
        let sequence = shim::from_sqn(received_sequence)?;
        let arrival = self.with(|connection| connection.note_received(sequence));
        steps::refuse_duplicate(received_sequence.py(), arrival)
    }

    /// Takes a round trip time in seconds into the latency.
    fn _update_latency(&self, rtt: f64) -> PyResult<()> {
        self.owner.claim_for_steps()?;
        self.with(|connection| connection.note_round_trip(rtt));
        Ok(())
    }

    /// Looks at the latency at time `t`, in seconds, and sets quality and package interval. `state` has the keys
    /// 'throttle_time', 'last_quality_change' and 'last_good_quality_milestone', and is changed in place.
    fn _throttling_state_machine(&self, t: f64, state: &Bound<'_, PyAny>) -> PyResult<()> {
        self.owner.claim_for_steps()?;
        steps::throttle(&self.core(), t, state)
    }

    /// Takes in a package at `time`; gives the callback ids of events whose fate is known, and whether they
    /// arrived.
    fn _step_receive<'py>(&self, package: &Bound<'py, Package>, time: f64) -> PyResult<Bound<'py, PyList>> {
        let (core, now) = self.stepped(time)?;
        steps::receive(&core, package, now)
    }

    /// Counts one package on.
    fn _step_sequence(&self) -> PyResult<()> {
        self.owner.claim_for_steps()?;
        self.with(|connection| connection.local_sequence = connection.local_sequence.next());
        Ok(())
    }

    /// The datagram of a package that goes out at `time`, with events that waited; and the same as
    /// `_step_receive` about what is lost by then.
    fn _step_send<'py>(
        &self,
        package: &Bound<'py, Package>,
        time: f64,
    ) -> PyResult<(Bound<'py, PyBytes>, Bound<'py, PyList>)> {
        let (core, now) = self.stepped(time)?;
        let datagram = steps::send(&core, package, now)?;
        Ok((PyBytes::new(package.py(), &datagram), steps::outcomes(package.py(), &core, now)?))
    }

    /// The next event that came in, or None.
    fn _step_event<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.owner.claim_for_steps()?;
        steps::next_event(py, &self.core())
    }

    /// Whether an event that came in waits for its handler, and whether one waits to be sent.
    fn _waiting(&self) -> (bool, bool) {
        self.with(|connection| (connection.has_incoming(), connection.next_event_size().is_some()))
    }

    /// Packages in flight: time of sending by sequence number.
    fn _in_flight<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        steps::in_flight(py, &self.core())
    }

    /// Claims that a package was sent at a time; forgets one without.
    #[pyo3(signature = (sequence, time=None))]
    fn _set_in_flight(&self, sequence: &Bound<'_, PyAny>, time: Option<f64>) -> PyResult<()> {
        self.owner.claim_for_steps()?;
        steps::set_in_flight(&self.core(), shim::from_sqn(sequence)?, time)
    }

    /// Send an event with the next package that has room for it.
    ///
    /// `event` is anything with `to_bytes()`. Exactly one of the two callbacks is called: `ack_callback` when the
    /// package that carried the event was acknowledged, `timeout_callback` when it was not within the package
    /// timeout. TypeError for what is no event; OverflowError if no package could carry it.
    #[pyo3(signature = (event, ack_callback=None, timeout_callback=None))]
    fn dispatch_event(
        &self,
        event: &Bound<'_, PyAny>,
        ack_callback: Option<Py<PyAny>>,
        timeout_callback: Option<Py<PyAny>>,
    ) -> PyResult<()> {
        self.dispatch_object(event, ack_callback, timeout_callback, 0)
    }

    /// `dispatch_event` of an event that is sent again up to `retries` times when it gets lost. A peer that is
    /// pygase-rs handles it once all the same.
    fn _dispatch_retried(
        &self,
        event: &Bound<'_, PyAny>,
        ack_callback: Option<Py<PyAny>>,
        retries: i64,
    ) -> PyResult<()> {
        let retries = u32::try_from(retries.max(0)).unwrap_or(u32::MAX);
        self.dispatch_object(event, ack_callback, None, retries)
    }

    /// Takes out the callbacks of an event whose fate is known; gives the one to call.
    #[pyo3(name = "_resolve")]
    fn resolve(&self, py: Python<'_>, callback_id: CallbackId, acked: bool) -> PyResult<Option<Py<PyAny>>> {
        let Some(callbacks) = self.callbacks(py) else { return Ok(None) };
        let Some(pair) = callbacks.get_item(callback_id)? else { return Ok(None) };
        callbacks.del_item(callback_id)?;
        let (acknowledged, timed_out) = pair.extract()?;
        Ok(if acked { acknowledged } else { timed_out })
    }

    /// Counters and gauges of this connection by name.
    ///
    /// They say what was sent, received, lost and dropped, what waits, and whether both sides are pygase-rs
    /// ('hello').
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let (stats, gauges) = self.with(|connection| (connection.stats, connection.gauges()));
        let dict = stats::of_connection(py, stats, gauges)?;
        dict.set_item("hello", self.hello())?;
        Ok(dict)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.callbacks)
    }

    fn __clear__(&self) {
        Python::attach(|py| {
            if let Some(callbacks) = self.callbacks(py) {
                callbacks.clear();
            }
        });
    }
}

/// The machine, to be driven by the network.
fn net_core(connection: &PyConnection) -> PyResult<Core> {
    connection.owner.claim_for_net()?;
    Ok(connection.core())
}
