//! What the underscored methods of a connection do: the same machine, moved by hand.
//!
//! The time is Python's, given with each step; a clock that goes back counts as no time passed. The lock of
//! a connection is never held while Python code runs.

use std::{
    sync::atomic::{AtomicU8, Ordering},
    time::Duration,
};

use pyo3::{
    PyTypeInfo,
    exceptions::{PyAttributeError, PyKeyError, PyRuntimeError},
    prelude::*,
    types::{PyDict, PyList},
};

use super::{
    codec,
    connection::{Core, lock},
    package::{ClientPackage, Package, ServerPackage, build, max_size},
    shim,
    store::PyStore,
};
use crate::{
    connection::{Arrival, Config, Congestion, Connection, ConnectionEvent, Quality, Receipt},
    net::clock,
    wire::{self, Kind, Sqn, limits},
};

const NOBODY: u8 = 0;
const STEPS: u8 = 1;
const NET: u8 = 2;

/// Who moves a connection: its steps or the network, whichever was first.
#[derive(Debug, Default)]
pub(super) struct Owner(AtomicU8);

impl Owner {
    /// For the steps; RuntimeError if the network has it.
    pub(super) fn claim_for_steps(&self) -> PyResult<()> {
        self.claim(STEPS, "a client or server drives this connection; only one nobody drives can be stepped")
    }

    /// For the network; RuntimeError if somebody steps it.
    pub(super) fn claim_for_net(&self) -> PyResult<()> {
        self.claim(NET, "this connection is stepped by hand; make another one for the network")
    }

    fn claim(&self, owner: u8, refusal: &'static str) -> PyResult<()> {
        match self.0.compare_exchange(NOBODY, owner, Ordering::Relaxed, Ordering::Relaxed) {
            Err(other) if other != owner => Err(PyRuntimeError::new_err(refusal)),
            _ => Ok(()),
        }
    }
}

/// Turns what Python's clock says into a time that never goes back.
#[derive(Debug, Default)]
pub(super) struct HandClock {
    said: f64,
    now: Duration,
}

impl HandClock {
    /// The time when Python's clock says `said`, in seconds.
    pub(super) fn at(&mut self, said: f64) -> Duration {
        let passed = Duration::try_from_secs_f64(said - self.said).unwrap_or_default();
        (self.said, self.now) = (said, self.now + passed);
        self.now
    }
}

/// Timing and limits as the class of a connection, and that of its packages, have them.
pub(super) fn config_of(connection: &Bound<'_, PyAny>, core: &Core) -> PyResult<Config> {
    let py = connection.py();
    let mut config = Config::default();
    if let Some(timeout) = connection.getattr_opt("_timeout")? {
        config.timeout = seconds(&timeout)?;
    }
    if let Some(intervals) = connection.getattr_opt("_package_intervals")? {
        config.interval_good = seconds(&intervals.get_item("good")?)?;
        config.interval_bad = seconds(&intervals.get_item("bad")?)?;
    }
    for (name, value) in [
        ("_latency_threshold", &mut config.latency_threshold),
        ("_min_throttle_time", &mut config.min_throttle_time),
        ("_max_throttle_time", &mut config.max_throttle_time),
    ] {
        if let Some(set) = connection.getattr_opt(name)? {
            *value = set.extract()?;
        }
    }
    let package = match core {
        Core::Plain(_) => Package::type_object(py),
        Core::Client(_) => ClientPackage::type_object(py),
        Core::Server(_) => ServerPackage::type_object(py),
    };
    config.package_timeout = seconds(&package.getattr("_timeout")?)?;
    config.max_datagram = package.getattr("_max_size")?.extract::<usize>()?.min(limits::MAX_DATAGRAM);
    Ok(config)
}

/// A number of seconds as Python has it; one without end for what is beyond.
fn seconds(value: &Bound<'_, PyAny>) -> PyResult<Duration> {
    let seconds = value.extract::<f64>()?.max(0.0);
    Ok(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::from_secs(u64::from(u32::MAX))))
}

/// DuplicateSequenceError for a number that came before.
pub(super) fn refuse_duplicate(py: Python<'_>, arrival: Arrival) -> PyResult<()> {
    match arrival {
        Arrival::Duplicate => {
            Err(PyErr::from_type(shim::duplicate_sequence_error(py)?.clone(), "this package came before"))
        }
        Arrival::Newest | Arrival::Older | Arrival::Late => Ok(()),
    }
}

/// Takes in a package; gives what became of events, see [`outcomes`].
pub(super) fn receive<'py>(
    core: &Core,
    package: &Bound<'py, Package>,
    now: Duration,
) -> PyResult<Bound<'py, PyList>> {
    let py = package.py();
    let kind = if package.is_instance_of::<ClientPackage>() {
        Kind::Client
    } else if package.is_instance_of::<ServerPackage>() {
        Kind::Server
    } else {
        Kind::Plain
    };
    let missing = match core {
        Core::Client(_) if kind != Kind::Server => Some("game_state_update"),
        Core::Server(_) if kind != Kind::Client => Some("time_order"),
        Core::Plain(_) | Core::Client(_) | Core::Server(_) => None,
    };
    if let Some(name) = missing {
        let class = package.get_type().name()?.to_string();
        return Err(PyAttributeError::new_err(format!("'{class}' object has no attribute '{name}'")));
    }
    let datagram = build(package)?;
    let package = wire::Package::decode(kind, &datagram)?;
    let duplicate =
        |connection: &Connection| connection.received.classify(package.header.sequence) == Arrival::Duplicate;
    let (came_before, receipt) = match core {
        Core::Plain(connection) => {
            let mut connection = lock(connection);
            (duplicate(&connection), connection.receive(now, &package))
        }
        Core::Client(connection) => {
            let mut connection = lock(connection);
            (duplicate(connection.connection()), connection.receive_by_hand(now, &package))
        }
        Core::Server(peer) => {
            let mut connection = peer.lock();
            (duplicate(connection.connection()), connection.receive_by_hand(now, &package))
        }
    };
    if came_before && receipt == Receipt::Dropped {
        refuse_duplicate(py, Arrival::Duplicate)?;
    }
    outcomes(py, core, now)
}

/// Adds waiting events to a package, takes note that it goes out, and gives its datagram.
pub(super) fn send(core: &Core, package: &Bound<'_, Package>, now: Duration) -> PyResult<Vec<u8>> {
    let mut datagram = build(package)?;
    let limit = max_size(package)?;
    let has = package.get().events(package.py()).len();
    let room = limits::EVENTS_PER_PACKAGE.saturating_sub(has);
    let sequence = package.get().header(package.py())?.get().value().sequence;
    with(core, |connection| connection.fill_package(now, sequence, limit, room, &mut datagram, 0));
    Ok(datagram)
}

/// What is lost by `now`, and then what became of events: tuples of a callback id and whether the event
/// arrived.
pub(super) fn outcomes<'py>(py: Python<'py>, core: &Core, now: Duration) -> PyResult<Bound<'py, PyList>> {
    let happened = with(core, |connection| {
        connection.expire(now);
        std::iter::from_fn(|| connection.poll_outcome()).collect::<Vec<_>>()
    });
    PyList::new(
        py,
        happened
            .into_iter()
            .filter_map(|event| match event {
                ConnectionEvent::Acknowledged(id) => Some((id, true)),
                ConnectionEvent::TimedOut(id) => Some((id, false)),
                ConnectionEvent::Event(_)
                | ConnectionEvent::Status(_)
                | ConnectionEvent::Quality(_)
                | ConnectionEvent::Farewell(_) => None,
            })
            .collect::<Vec<_>>(),
    )
}

/// The next event that came in, or None.
pub(super) fn next_event<'py>(py: Python<'py>, core: &Core) -> PyResult<Option<Bound<'py, PyAny>>> {
    let Some(bytes) = with(core, Connection::poll_incoming) else { return Ok(None) };
    let parts = codec::decode(py, &bytes)?;
    Ok(Some(shim::event_class(py)?.call_method1("from_dict", (parts,))?))
}

/// The update for the next package of a server's connection.
pub(super) fn next_update(core: &Core, store: &PyStore) -> Vec<u8> {
    let mut update = Vec::new();
    if let Core::Server(peer) = core {
        // In the order of the network's threads: the connection, then the store.
        let mut connection = peer.lock();
        connection.update_by_hand(clock::now(), &mut lock(&store.store), &mut update);
    }
    update
}

/// Packages in flight as a dict of number to time of sending.
pub(super) fn in_flight<'py>(py: Python<'py>, core: &Core) -> PyResult<Bound<'py, PyDict>> {
    let sent = with(core, |connection| {
        connection.in_flight().iter().map(|package| (package.sequence, package.at)).collect::<Vec<_>>()
    });
    let dict = PyDict::new(py);
    for (sequence, at) in sent {
        dict.set_item(shim::to_sqn(py, sequence)?, at.as_secs_f64())?;
    }
    Ok(dict)
}

/// Claims that a package was sent `at`, or forgets one (KeyError if there is none).
pub(super) fn set_in_flight(core: &Core, sequence: Sqn, at: Option<f64>) -> PyResult<()> {
    match at.map(|at| Duration::try_from_secs_f64(at).unwrap_or_default()) {
        Some(at) => with(core, |connection| connection.claim_sent(sequence, at)),
        None if with(core, |connection| connection.forget_sent(sequence)).is_none() => {
            return Err(PyKeyError::new_err(sequence.value()));
        }
        None => {}
    }
    Ok(())
}

/// One look of the throttling state machine at time `t`, with its memory in `state`.
pub(super) fn throttle(core: &Core, t: f64, state: &Bound<'_, PyAny>) -> PyResult<()> {
    let (mut congestion, config, latency) =
        with(core, |connection| (connection.congestion, *connection.config, connection.latency));
    let memory = |congestion: &Congestion| {
        [
            ("throttle_time", congestion.throttle_time),
            ("last_quality_change", congestion.last_quality_change),
            ("last_good_quality_milestone", congestion.last_good_quality_milestone),
        ]
    };
    let fresh = Congestion::new(&config, t);
    let read = |(name, otherwise): (&str, f64)| match state.get_item(name) {
        Ok(value) => value.extract::<f64>(),
        Err(error) if error.is_instance_of::<PyKeyError>(state.py()) => Ok(otherwise),
        Err(error) => Err(error),
    };
    let [throttle_time, change, milestone] = memory(&fresh);
    congestion.throttle_time = read(throttle_time)?;
    congestion.last_quality_change = read(change)?;
    congestion.last_good_quality_milestone = read(milestone)?;
    let before = memory(&congestion);
    congestion.step(&config, t, latency);
    for ((name, value), (_, old)) in memory(&congestion).into_iter().zip(before) {
        if value.to_bits() != old.to_bits() {
            state.set_item(name, value)?;
        }
    }
    with(core, |connection| connection.congestion = congestion);
    Ok(())
}

/// Quality as Python sets it.
pub(super) fn parse_quality(value: &str) -> Option<Quality> {
    match value {
        "good" => Some(Quality::Good),
        "bad" => Some(Quality::Bad),
        _ => None,
    }
}

/// Runs `act` on what every kind of connection shares.
pub(super) fn with<R>(core: &Core, act: impl FnOnce(&mut Connection) -> R) -> R {
    match core {
        Core::Plain(connection) => act(&mut lock(connection)),
        Core::Client(connection) => act(lock(connection).connection_mut()),
        Core::Server(peer) => act(peer.lock().connection_mut()),
    }
}
