//! A client's socket, as Python opens and closes it, and the ticks of a game loop.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use pyo3::{exceptions::PyValueError, prelude::*, types::PyDict};

use super::{
    connection::{PyClientConnection, client, lock},
    inbox::PyInbox,
    options::{configure, line},
};
use crate::net::{Tick, TickTimer, UdpClient};

/// How long asking the server to stop may take: a second until it is known to be there, then the request.
const SHUTDOWN_PATIENCE: Duration = Duration::from_millis(1500);
/// How long a tick is waited for before signals are looked at.
const SIGNAL_CHECK: Duration = Duration::from_millis(50);

/// A client that is connected or tries to be.
#[pyclass(frozen, name = "UdpClient", module = "pygase._core")]
pub(super) struct PyUdpClient {
    address: (String, u16),
    client: Mutex<Option<Arc<UdpClient>>>,
}

#[pymethods]
impl PyUdpClient {
    #[new]
    #[pyo3(signature = (connection, hostname, port, inbox, options=None))]
    fn new(
        py: Python<'_>,
        connection: &Bound<'_, PyClientConnection>,
        hostname: &str,
        port: u16,
        inbox: &PyInbox,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let connection = client(connection)?;
        let mut config = *lock(&connection).connection().config;
        configure(&mut config, options)?;
        lock(&connection).connection_mut().config = Arc::new(config);
        *lock(&inbox.client) = Some(Arc::clone(&connection));
        let inbox = Arc::clone(&inbox.inbox);
        let line = line(options)?;
        let client = py.detach(|| UdpClient::start_behind(line, hostname, port, connection, inbox))?;
        let address = client.remote_addr();
        let address = (address.ip().to_string(), address.port());
        Ok(Self { address, client: Mutex::new(Some(Arc::new(client))) })
    }

    /// (host, port) of the server.
    #[getter]
    fn remote_address(&self) -> (String, u16) {
        self.address.clone()
    }

    /// Ends the connection, after asking the server to stop if `shutdown_server`; waits at most 1.5 s.
    fn disconnect(&self, py: Python<'_>, shutdown_server: bool) {
        let client = lock(&self.client).clone();
        py.detach(|| {
            if let Some(client) = client {
                client.disconnect(shutdown_server, SHUTDOWN_PATIENCE);
            }
        });
    }

    /// Counters of the socket.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        let Some(client) = lock(&self.client).clone() else { return Ok(dict) };
        for (name, value) in client.stats().entries() {
            dict.set_item(name, value)?;
        }
        Ok(dict)
    }

    /// Closes the socket at once. Harmless when done twice.
    fn stop(&self, py: Python<'_>) {
        let client = lock(&self.client).take();
        py.detach(|| {
            if let Some(client) = client {
                client.stop();
            }
        });
    }
}

/// Ticks at absolute deadlines.
#[pyclass(frozen, name = "TickTimer", module = "pygase._core")]
pub(super) struct PyTickTimer(TickTimer);

#[pymethods]
impl PyTickTimer {
    #[new]
    fn new(interval: f64) -> PyResult<Self> {
        let interval = Duration::try_from_secs_f64(interval).ok().filter(|interval| !interval.is_zero());
        let interval =
            interval.ok_or_else(|| PyValueError::new_err("interval must be a positive number of seconds"))?;
        Ok(Self(TickTimer::new(interval)))
    }

    /// Waits, without the GIL, for the next tick. Gives the seconds since the tick before (the interval for
    /// the first), or None when the timer was stopped. KeyboardInterrupt comes through.
    fn wait(&self, py: Python<'_>) -> PyResult<Option<f64>> {
        loop {
            match py.detach(|| self.0.wait_at_most(SIGNAL_CHECK)) {
                Tick::Due(elapsed) => return Ok(Some(elapsed.as_secs_f64())),
                Tick::Stopped => return Ok(None),
                Tick::NotYet => py.check_signals()?,
            }
        }
    }

    /// Lets the wait end and all that follow.
    fn stop(&self) {
        self.0.stop();
    }

    /// Whether `stop` was called.
    #[getter]
    fn stopped(&self) -> bool {
        self.0.is_stopped()
    }

    /// Ticks left out because the one before took too long.
    #[getter]
    fn overruns(&self) -> u64 {
        self.0.overruns()
    }
}
