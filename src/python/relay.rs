//! The relay behind `pygase simulate`, as the command line drives it.

use std::sync::Arc;

use pyo3::{
    prelude::*,
    types::{PyDict, PyList},
};

use super::{options, recording::PyRecorder};
use crate::net::{Passage, Relay};

/// A bad line between clients and a server, in a thread without Python.
#[pyclass(frozen, name = "Relay", module = "pygase._core")]
pub(super) struct PyRelay(Relay);

#[pymethods]
impl PyRelay {
    /// Relays from `listen` to `upstream` (host and port each); `conditions` are the fields of
    /// `pygase.conditions.Conditions`. OSError as for a server's socket and a client's connection.
    #[new]
    #[pyo3(signature = (listen, upstream, conditions, recorder=None))]
    #[allow(clippy::needless_pass_by_value, reason = "arguments of one Python call")]
    fn new(
        py: Python<'_>,
        listen: (String, u16),
        upstream: (String, u16),
        conditions: &Bound<'_, PyDict>,
        recorder: Option<&PyRecorder>,
    ) -> PyResult<Self> {
        let (conditions, seed) = options::conditions(conditions)?;
        let recorder = recorder.map(|recorder| Arc::clone(&recorder.0));
        let (listen, upstream) = ((&*listen.0, listen.1), (&*upstream.0, upstream.1));
        let start = || Relay::start(listen, upstream, conditions, seed, recorder);
        Ok(Self(py.detach(start)?))
    }

    /// The port it listens on; None after `stop`.
    #[getter]
    fn port(&self) -> Option<u16> {
        (!self.0.is_over()).then(|| self.0.address().port())
    }

    /// Whether it has ended.
    #[getter]
    fn over(&self) -> bool {
        self.0.is_over()
    }

    /// Ends it. What is still on its way is lost.
    fn stop(&self, py: Python<'_>) {
        py.detach(|| self.0.stop());
    }

    /// What was done so far: `clients`, `refused`, `unsent`, and the fates by direction, such as `up_lost`.
    fn report<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let report = self.0.report();
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

    /// What the headers of packages tell of each client that has a line now: its address, and by direction what
    /// passed, what was lost before it came here ('missing') and after it ('lost'), and the round trip time in
    /// seconds from here to the receiver.
    fn lines<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let lines = PyList::empty(py);
        for line in self.0.lines() {
            let dict = PyDict::new(py);
            dict.set_item("client", (line.client.ip().to_string(), line.client.port()))?;
            dict.set_item("up", passage(py, line.up)?)?;
            dict.set_item("down", passage(py, line.down)?)?;
            lines.append(dict)?;
        }
        Ok(lines)
    }
}

fn passage(py: Python<'_>, passage: Passage) -> PyResult<Bound<'_, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("packages", passage.packages)?;
    dict.set_item("bytes", passage.bytes)?;
    dict.set_item("missing", passage.missing)?;
    dict.set_item("lost", passage.lost)?;
    dict.set_item("round_trip", passage.round_trip)?;
    dict.set_item("jitter", passage.jitter)?;
    Ok(dict)
}
