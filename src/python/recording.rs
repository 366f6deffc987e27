//! Recordings, as Python makes and reads them.

use std::{
    fs::File,
    io::{self, BufReader},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use pyo3::{
    IntoPyObjectExt,
    exceptions::{PyOSError, PyValueError},
    prelude::*,
    sync::MutexExt,
    types::{PyBytes, PyDict},
};

use super::inbox::PyInbox;
use crate::{
    net::Recorder,
    recording::{Content, Reader, RecordingError, Source, Way},
};

/// Names of where something was recorded.
const SOURCES: [(&str, Source); 3] =
    [("server", Source::Server), ("client", Source::Client), ("relay", Source::Relay)];

/// A recording that is being made, by a thread without Python.
#[pyclass(frozen, name = "Recorder", module = "pygase._core")]
pub(super) struct PyRecorder(pub(super) Arc<Recorder>);

#[pymethods]
impl PyRecorder {
    /// Begins a recording at `source`: 'server', 'client' or 'relay'. `inbox` gets a record for the log if writing
    /// fails later. FileExistsError if the file is there, unless it may be overwritten; OSError if it cannot be made.
    #[new]
    #[pyo3(signature = (path, source, *, overwrite=false, inbox=None))]
    #[allow(clippy::needless_pass_by_value, reason = "arguments of one Python call")]
    fn new(path: PathBuf, source: &str, overwrite: bool, inbox: Option<&PyInbox>) -> PyResult<Self> {
        let known = SOURCES.iter().find(|(name, _)| *name == source);
        let (_, source) = known.ok_or_else(|| PyValueError::new_err(format!("{source:?} is no source")))?;
        let inbox = inbox.map_or_else(Weak::new, |inbox| Arc::downgrade(&inbox.inbox));
        Recorder::create(&path, overwrite, *source, inbox).map(|it| Self(Arc::new(it))).map_err(|error| {
            let reason = match error.kind() {
                io::ErrorKind::AlreadyExists => {
                    "it is there already, and recording would overwrite it".into()
                }
                _ => error.to_string(),
            };
            os_error(&error, format!("cannot record to {}: {reason}", path.display()))
        })
    }

    /// Writes what waits and closes the file. Harmless when done twice.
    fn stop(&self, py: Python<'_>) {
        py.detach(|| self.0.stop());
    }

    /// `recorded`, `records_dropped`, and `failure`: None, or why nothing is written any more.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let (stats, dict) = (self.0.stats(), PyDict::new(py));
        dict.set_item("recorded", stats.recorded)?;
        dict.set_item("records_dropped", stats.dropped)?;
        dict.set_item("failure", stats.failure)?;
        Ok(dict)
    }
}

/// A recording that is read once, from the beginning. Iterating it gives tuples of the seconds since the beginning and
///
/// - 'up' or 'down', address of the client, datagram;
/// - 'state' or 'update', time order, msgpacked map;
/// - 'gap', how many entries are missing.
///
/// ValueError if it cannot be read any further.
#[pyclass(frozen, name = "Recording", module = "pygase._core")]
pub(super) struct PyRecording(PathBuf, Mutex<Reader<BufReader<File>>>);

#[pymethods]
impl PyRecording {
    /// OSError if the file cannot be opened, ValueError if it is no recording.
    #[new]
    fn new(path: PathBuf) -> PyResult<Self> {
        let file = File::open(&path).map_err(|error| {
            let text = format!("cannot read {}: {error}", path.display());
            os_error(&error, text)
        })?;
        let reader = Reader::open(BufReader::new(file)).map_err(|error| unreadable(&path, &error))?;
        Ok(Self(path, Mutex::new(reader)))
    }

    /// Where it was recorded: 'server', 'client' or 'relay'.
    #[getter]
    fn source(&self, py: Python<'_>) -> &'static str {
        let source = self.reader(py).source();
        SOURCES.iter().find(|(_, known)| *known == source).map_or("", |(name, _)| name)
    }

    /// When it began, in seconds since 1970.
    #[getter]
    fn started(&self, py: Python<'_>) -> f64 {
        self.reader(py).started().as_secs_f64()
    }

    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let mut reader = self.reader(py);
        let entry = reader.next_entry().map_err(|error| unreadable(&self.0, &error))?;
        let Some((at, content)) = entry else { return Ok(None) };
        let at = at.as_secs_f64();
        let row = match content {
            Content::Package { way, peer, bytes } => {
                let way = if way == Way::Up { "up" } else { "down" };
                let peer = (peer.ip().to_string(), peer.port());
                (at, way, peer, PyBytes::new(py, bytes)).into_bound_py_any(py)
            }
            Content::State { time_order, is_whole, bytes } => {
                let kind = if is_whole { "state" } else { "update" };
                (at, kind, time_order, PyBytes::new(py, bytes)).into_bound_py_any(py)
            }
            Content::Gap(count) => (at, "gap", count).into_bound_py_any(py),
        };
        row.map(Some)
    }
}

impl PyRecording {
    /// The reader. Whoever waits for it lets other threads run Python: the one who has it makes objects.
    fn reader(&self, py: Python<'_>) -> MutexGuard<'_, Reader<BufReader<File>>> {
        self.1.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner)
    }
}

fn unreadable(path: &std::path::Path, error: &RecordingError) -> PyErr {
    PyValueError::new_err(format!("{}: {error}", path.display()))
}

/// The subclass of `OSError` that Python has for this.
fn os_error(error: &io::Error, text: String) -> PyErr {
    match error.raw_os_error() {
        Some(number) => PyOSError::new_err((number, text)),
        None => PyOSError::new_err(text),
    }
}
