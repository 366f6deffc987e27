//! What happened, from the threads of the core to the Python thread that runs handlers.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use pyo3::{IntoPyObjectExt, prelude::*, types::PyList};

use super::{connection::lock, events::PyEventBatch, recording::PyRecorder, server::PyPeerHandle};
use crate::{
    ClientConnection,
    connection::ConnectionEvent,
    endpoint::ServerEvent,
    net::{ClientNotice, Inbox, Notice, clock},
};

pub(super) const EVENTS: u8 = 0;
pub(super) const ACK: u8 = 1;
pub(super) const TIMEOUT: u8 = 2;
pub(super) const STATUS: u8 = 3;
pub(super) const QUALITY: u8 = 4;
pub(super) const CONNECTED: u8 = 5;
pub(super) const REMOVED: u8 = 6;
pub(super) const HOST: u8 = 7;
pub(super) const SHUTDOWN: u8 = 8;
pub(super) const UNANSWERED: u8 = 9;
pub(super) const CLOSED: u8 = 10;
pub(super) const FAILED: u8 = 11;
pub(super) const LOG: u8 = 12;
pub(super) const MOVED: u8 = 13;
pub(super) const FAREWELL: u8 = 14;

/// How long a wait goes on before it looks for signals.
const SIGNAL_CHECK: Duration = Duration::from_millis(50);

/// The queue of one server or client.
#[pyclass(frozen, name = "Inbox", module = "pygase._core")]
pub(super) struct PyInbox {
    pub(super) inbox: Arc<Inbox>,
    /// The client whose events come this way, if it is a client's.
    pub(super) client: Mutex<Option<Arc<Mutex<ClientConnection>>>>,
}

/// One row for Python: kind, tag of the connection (0 for a client's own), payload.
type Row<'py> = (u8, u64, Bound<'py, PyAny>);

#[pymethods]
impl PyInbox {
    #[new]
    fn new() -> Self {
        Self { inbox: Arc::new(Inbox::new()), client: Mutex::default() }
    }

    /// Has every package recorded from now on.
    fn record(&self, recorder: &PyRecorder) {
        self.inbox.set_recorder(Arc::clone(&recorder.0));
    }

    /// A file descriptor that is readable while there is something to take; None where there is none.
    fn fileno(&self) -> Option<i32> {
        self.inbox.as_raw_fd()
    }

    /// Waits, without the GIL, until there is something to take or `timeout` seconds have passed; says
    /// whether there is. KeyboardInterrupt comes through.
    #[pyo3(signature = (timeout=None))]
    fn wait(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<bool> {
        // A time that no duration can have is for ever.
        let timeout = timeout.and_then(|seconds| Duration::try_from_secs_f64(seconds.max(0.0)).ok());
        let deadline = timeout.and_then(|timeout| clock::now().checked_add(timeout));
        loop {
            let left = deadline.map_or(SIGNAL_CHECK, |at| at.saturating_sub(clock::now()).min(SIGNAL_CHECK));
            if py.detach(|| self.inbox.wait(Some(left))) {
                return Ok(true);
            }
            py.check_signals()?;
            if deadline.is_some_and(|at| clock::now() >= at) || self.inbox.is_closed() {
                return Ok(false);
            }
        }
    }

    /// Everything that happened since the last call, oldest first, as (kind, tag, payload).
    fn take<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let mut notices = Vec::new();
        self.inbox.drain(&mut notices);
        self.rows(py, notices)
    }

    /// What of it makes clients of a server known, the same way. All else stays, within its bounds.
    fn take_arrivals<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let mut notices = Vec::new();
        self.inbox.drain_arrivals(&mut notices);
        self.rows(py, notices)
    }

    /// How many notices wait to be taken.
    fn __len__(&self) -> usize {
        self.inbox.len()
    }

    /// Whether there is something to take with `take_arrivals`.
    #[getter]
    fn has_arrivals(&self) -> bool {
        self.inbox.has_arrivals()
    }

    /// Lets a wait end, this one or the next; any thread may call it.
    fn wake(&self) {
        self.inbox.wake();
    }

    /// From which level on records for the log are wanted: 10 for packages, 30 for what was dropped.
    fn set_level(&self, level: u8) {
        self.inbox.set_level(level);
    }

    /// Lets every wait end.
    fn close(&self) {
        self.inbox.close();
    }
}

impl PyInbox {
    fn rows<'py>(&self, py: Python<'py>, notices: Vec<Notice>) -> PyResult<Bound<'py, PyList>> {
        let mut rows = Vec::new();
        let mut happened = Vec::new();
        for notice in notices {
            match notice {
                Notice::Server(ServerEvent::Ready(peer)) => {
                    peer.take_events(&mut happened);
                    rows_of(py, peer.tag, &mut happened, &mut rows)?;
                }
                Notice::Server(ServerEvent::Connected(peer)) => {
                    rows.push((CONNECTED, peer.tag, PyPeerHandle(peer).into_bound_py_any(py)?));
                }
                Notice::Server(ServerEvent::Moved(peer, _)) => {
                    let address = peer.address();
                    let address = (address.ip().to_string(), address.port());
                    rows.push((MOVED, peer.tag, address.into_bound_py_any(py)?));
                }
                Notice::Server(ServerEvent::Removed(peer)) => rows.push((REMOVED, peer.tag, none(py))),
                Notice::Server(ServerEvent::Host(peer)) => {
                    rows.push((HOST, peer.map_or(0, |peer| peer.tag), none(py)));
                }
                Notice::Server(ServerEvent::ShutdownRequested) => rows.push((SHUTDOWN, 0, none(py))),
                Notice::Client(ClientNotice::Ready) => self.take_client(py, &mut happened, &mut rows)?,
                Notice::Client(ClientNotice::Unanswered) => rows.push((UNANSWERED, 0, none(py))),
                Notice::Client(ClientNotice::Closed) | Notice::Stopped => {
                    self.take_client(py, &mut happened, &mut rows)?;
                    rows.push((CLOSED, 0, none(py)));
                }
                Notice::Log(record) => {
                    rows.push((LOG, u64::from(record.level), record.text.into_bound_py_any(py)?));
                }
                Notice::Failed(message) => rows.push((FAILED, 0, message.into_bound_py_any(py)?)),
            }
        }
        PyList::new(py, rows)
    }

    fn take_client<'py>(
        &self,
        py: Python<'py>,
        happened: &mut Vec<ConnectionEvent>,
        rows: &mut Vec<Row<'py>>,
    ) -> PyResult<()> {
        let client = self.client.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(client) = client else { return Ok(()) };
        {
            let mut client = lock(&client);
            happened.extend(std::iter::from_fn(|| client.connection_mut().poll_event()));
        }
        rows_of(py, 0, happened, rows)
    }
}

fn rows_of<'py>(
    py: Python<'py>,
    tag: u64,
    happened: &mut Vec<ConnectionEvent>,
    rows: &mut Vec<Row<'py>>,
) -> PyResult<()> {
    let mut happened = happened.drain(..).peekable();
    while let Some(event) = happened.next() {
        rows.push(match event {
            ConnectionEvent::Event(bytes) => {
                let mut events = VecDeque::from([bytes]);
                while let Some(ConnectionEvent::Event(bytes)) =
                    happened.next_if(|next| matches!(next, ConnectionEvent::Event(_)))
                {
                    events.push_back(bytes);
                }
                (EVENTS, tag, PyEventBatch::new(events).into_bound_py_any(py)?)
            }
            ConnectionEvent::Acknowledged(id) => (ACK, tag, id.into_bound_py_any(py)?),
            ConnectionEvent::TimedOut(id) => (TIMEOUT, tag, id.into_bound_py_any(py)?),
            ConnectionEvent::Status(status) => (STATUS, tag, (status as u8).into_bound_py_any(py)?),
            ConnectionEvent::Farewell(reason) => (FAREWELL, tag, reason.into_bound_py_any(py)?),
            ConnectionEvent::Quality(quality) => (QUALITY, tag, quality.as_str().into_bound_py_any(py)?),
        });
    }
    Ok(())
}

fn none(py: Python<'_>) -> Bound<'_, PyAny> {
    py.None().into_bound(py)
}
