//! Servers in the local network, as Python lets them be found and finds them.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use pyo3::{exceptions::PyValueError, prelude::*, types::PyDict};

use super::server::ip;
use crate::net::{Announcer, Finder};

/// Answers those who look for servers, in a thread without Python.
#[pyclass(frozen, name = "Announcer", module = "pygase._core")]
pub(super) struct PyAnnouncer(Announcer);

#[pymethods]
impl PyAnnouncer {
    /// Answers that a server of this name listens on the address. OSError if that cannot be.
    #[new]
    fn new(name: &str, host: &str, port: u16) -> PyResult<Self> {
        Ok(Self(Announcer::start(name, SocketAddr::new(ip(host)?, port))?))
    }

    /// Ends it. Harmless when done twice.
    fn stop(&self, py: Python<'_>) {
        py.detach(|| self.0.stop());
    }

    /// `announce_answered` and `announce_dropped`.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let (stats, dict) = (self.0.stats(), PyDict::new(py));
        dict.set_item("announce_answered", stats.answered)?;
        dict.set_item("announce_dropped", stats.dropped)?;
        Ok(dict)
    }
}

/// Looks for servers.
#[pyclass(frozen, name = "Finder", module = "pygase._core")]
pub(super) struct PyFinder(Finder);

#[pymethods]
impl PyFinder {
    /// Looks in all networks of this machine, or only in the one where it has an IPv4 address. ValueError if that is
    /// none, OSError if there is no socket to be had.
    #[new]
    #[pyo3(signature = (only=None))]
    fn new(only: Option<&str>) -> PyResult<Self> {
        let v4 = |address: &str| address.parse::<Ipv4Addr>().ok();
        let only = only.map(|only| {
            v4(only)
                .ok_or_else(|| PyValueError::new_err(format!("{only:?} is no IPv4 address of this machine")))
        });
        Ok(Self(Finder::new(only.transpose()?)?))
    }

    /// Asks. OSError if there is no network to ask in.
    fn ask(&self) -> PyResult<()> {
        Ok(self.0.ask()?)
    }

    /// The next answer within so many seconds: name, host, port, and a number that is the same for all addresses of a
    /// server; None if there is none.
    fn next(&self, py: Python<'_>, seconds: f64) -> PyResult<Option<(String, String, u16, u64)>> {
        let patience = Duration::try_from_secs_f64(seconds).unwrap_or_default();
        let found = py.detach(|| self.0.next(patience))?;
        Ok(found.map(|it| (it.name, it.address.ip().to_string(), it.address.port(), it.id)))
    }
}
