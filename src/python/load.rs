//! The load generator, as the command line drives it.

use std::time::Duration;

use pyo3::{exceptions::PyValueError, prelude::*, types::PyDict};

use crate::{
    endpoint::MAX_CLIENT_EVENT,
    net::{Load, LoadOptions, StateClock},
};

/// Many clients of one server, in a thread without Python.
#[pyclass(frozen, name = "Load", module = "pygase._core")]
pub(super) struct PyLoad(Load);

#[pymethods]
impl PyLoad {
    /// Starts `clients` clients, `ramp` per second, and measures for `seconds` once all have started. Each
    /// sends `event` (its bytes) `event_rate` times per second. `clock` is where the state has a time, key by key:
    /// milliseconds since 1970, or what grows by `clock_rate` a second. OSError as for a client's connection.
    #[new]
    #[pyo3(signature = (hostname, port, clients, seconds, ramp, event=None, event_rate=0.0, anywhere=false, clock=None, clock_rate=None))]
    #[allow(clippy::too_many_arguments, reason = "keyword arguments of one Python call")]
    fn new(
        py: Python<'_>,
        hostname: &str,
        port: u16,
        clients: usize,
        seconds: f64,
        ramp: f64,
        event: Option<&[u8]>,
        event_rate: f64,
        anywhere: bool,
        clock: Option<Vec<String>>,
        clock_rate: Option<f64>,
    ) -> PyResult<Self> {
        let measure = Duration::try_from_secs_f64(seconds)
            .map_err(|_| PyValueError::new_err("seconds must be a number that is not negative"))?;
        if let Some(size) = event.map(<[u8]>::len).filter(|&size| size > MAX_CLIENT_EVENT) {
            let text = format!("the event has {size} bytes, at most {MAX_CLIENT_EVENT} fit into a package");
            return Err(PyValueError::new_err(text));
        }
        let event = event.filter(|_| event_rate > 0.0).map(|event| (event.into(), event_rate));
        if clock_rate.is_some_and(|rate| rate.is_nan() || rate <= 0.0) {
            return Err(PyValueError::new_err("clock_rate must be a positive number"));
        }
        let clock = clock.map(|path| StateClock { path, rate: clock_rate });
        let options = LoadOptions { clients, ramp, measure, event, clock, anywhere };
        Ok(Self(py.detach(|| Load::start(hostname, port, options))?))
    }

    /// Whether everything is measured.
    #[getter]
    fn over(&self) -> bool {
        self.0.is_over()
    }

    /// Ends it.
    fn stop(&self, py: Python<'_>) {
        py.detach(|| self.0.stop());
    }

    /// What was seen so far: counts, packages per client, round trip times and ages of the state in seconds by
    /// quantile, and how many round trips took how many tenths of a millisecond.
    fn report<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let report = self.0.report();
        let dict = PyDict::new(py);
        for (name, value) in [
            ("started", report.started as u64),
            ("answered", report.answered as u64),
            ("joined", report.joined as u64),
            ("sent", report.sent),
            ("bytes_in", report.bytes_in),
            ("bytes_out", report.bytes_out),
            ("lost", report.lost),
            ("duplicate", report.duplicate),
            ("malformed", report.malformed),
            ("strangers", report.strangers),
            ("events_sent", report.events_sent),
            ("events_received", report.events_received),
            ("late_sends", report.late_sends),
        ] {
            dict.set_item(name, value)?;
        }
        dict.set_item("measuring", report.measuring)?;
        dict.set_item("measured", report.measured.as_secs_f64())?;
        for (name, quantile) in [("rtt_p50", 0.5), ("rtt_p95", 0.95), ("rtt_p99", 0.99)] {
            dict.set_item(name, report.rtt_quantile(quantile).map(|rtt| rtt.as_secs_f64()))?;
        }
        for (name, quantile) in [("age_p50", 0.5), ("age_p95", 0.95), ("age_p99", 0.99)] {
            dict.set_item(name, report.ages.quantile(quantile))?;
        }
        dict.set_item("ages", report.ages.count())?;
        let histogram = PyDict::new(py);
        for (tenths, count) in report.rtt_histogram() {
            histogram.set_item(tenths, count)?;
        }
        dict.set_item("rtt", histogram)?;
        dict.set_item("packages", report.packages)?;
        Ok(dict)
    }
}
