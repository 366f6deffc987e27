//! The relay behind `pygase simulate`, as the command line drives it.

use std::sync::Mutex;

use pyo3::{prelude::*, types::PyDict};

use super::{connection::lock, options};
use crate::net::{Relay, RelayReport};

/// A bad line between clients and a server, in a thread without Python.
#[pyclass(frozen, name = "Relay", module = "pygase._core")]
pub(super) struct PyRelay(Mutex<Option<Relay>>, Mutex<RelayReport>);

#[pymethods]
impl PyRelay {
    /// Relays from `listen` to `upstream` (host and port each); `conditions` are the fields of
    /// `pygase.conditions.Conditions`. OSError as for a server's socket and a client's connection.
    #[new]
    #[allow(clippy::needless_pass_by_value, reason = "arguments of one Python call")]
    fn new(
        py: Python<'_>,
        listen: (String, u16),
        upstream: (String, u16),
        conditions: &Bound<'_, PyDict>,
    ) -> PyResult<Self> {
        let (conditions, seed) = options::conditions(conditions)?;
        let start = || Relay::start((&listen.0, listen.1), (&upstream.0, upstream.1), conditions, seed);
        Ok(Self(Mutex::new(Some(py.detach(start)?)), Mutex::default()))
    }

    /// The port it listens on; None after `stop`.
    #[getter]
    fn port(&self) -> Option<u16> {
        lock(&self.0).as_ref().map(|relay| relay.address().port())
    }

    /// Whether it has ended.
    #[getter]
    fn over(&self) -> bool {
        lock(&self.0).as_ref().is_none_or(Relay::is_over)
    }

    /// Ends it. What is still on its way is lost.
    fn stop(&self, py: Python<'_>) {
        if let Some(relay) = lock(&self.0).take() {
            *lock(&self.1) = py.detach(|| relay.stop());
        }
    }

    /// What was done so far: `clients`, `refused`, `unsent`, and the fates by direction, such as `up_lost`.
    fn report<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let running = lock(&self.0).as_ref().map(Relay::report);
        let report = running.unwrap_or_else(|| *lock(&self.1));
        let dict = PyDict::new(py);
        dict.set_item("clients", report.clients)?;
        dict.set_item("refused", report.refused)?;
        dict.set_item("unsent", report.unsent)?;
        for (way, fates) in [("up", report.up), ("down", report.down)] {
            dict.set_item(format!("{way}_sent"), fates.sent)?;
            dict.set_item(format!("{way}_lost"), fates.lost)?;
            dict.set_item(format!("{way}_duplicated"), fates.duplicated)?;
            dict.set_item(format!("{way}_held_back"), fates.held_back)?;
            dict.set_item(format!("{way}_crowded_out"), fates.crowded_out)?;
        }
        Ok(dict)
    }
}
