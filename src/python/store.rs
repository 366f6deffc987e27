//! The server's state, as Python pushes it.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
};

use pyo3::{exceptions::PyOverflowError, prelude::*, types::PyDict};

use super::{codec, connection::lock, recording::PyRecorder, stats::StateGauges};
use crate::{
    net::{Recorder, clock},
    state::{Merged, Store},
    wire::{Sqn, WireError},
};

/// How many paths of values that are too large are remembered, so that each is reported once.
const MAX_REPORTED: usize = 1024;
/// What became of a value that is too large.
const LEFT_OUT: &str = "; it is left out, the rest of the update is shared";

/// Mirror of a game state, shared with the threads that send it.
#[pyclass(frozen, name = "Store", module = "pygase._core")]
pub(super) struct PyStore {
    pub(super) store: Arc<Mutex<Store>>,
    /// Paths of values that were reported as too large.
    reported: Mutex<HashSet<String>>,
    /// Where states are recorded, and whether a whole one was.
    recorder: Mutex<Option<(Arc<Recorder>, bool)>>,
}

#[pymethods]
impl PyStore {
    #[new]
    fn new(py: Python<'_>, time_order: u16, state: &Bound<'_, PyDict>) -> PyResult<Self> {
        let bytes = codec::encode(state.as_any(), "")?;
        let (store, merged) = py.detach(|| Store::load(Sqn::new(time_order), &bytes))?;
        let mirror = Self {
            store: Arc::new(Mutex::new(store)),
            reported: Mutex::default(),
            recorder: Mutex::default(),
        };
        mirror.report(&merged, "")?;
        Ok(mirror)
    }

    /// Newest time order.
    #[getter]
    fn time_order(&self) -> u16 {
        lock(&self.store).time_order().value()
    }

    /// Merges an update. TypeError naming the path for what cannot be serialised (then nothing is merged);
    /// OverflowError naming path, size and limit for a value that no package can carry (once for each path;
    /// the rest is merged).
    fn push(&self, py: Python<'_>, time_order: u16, update: &Bound<'_, PyDict>) -> PyResult<()> {
        let bytes = codec::encode(update.as_any(), "")?;
        let merged = py.detach(|| {
            let mut store = lock(&self.store);
            let merged = store.push(clock::now(), Sqn::new(time_order), &bytes)?;
            self.record_state(store.time_order(), false, true, &bytes);
            Ok::<_, WireError>(merged)
        })?;
        self.report(&merged, LEFT_OUT)
    }

    /// A step of the game begins: until `end_step` nothing is sent earlier than it would be anyway, so that the
    /// events of the step come with what it changes.
    fn begin_step(&self) {
        lock(&self.store).begin_step();
    }

    /// What the step changes has been pushed.
    fn end_step(&self) {
        lock(&self.store).end_step();
    }

    /// How it stands: time order, how many values (maps included) and how many bytes of keys and values are alive,
    /// how many deletions are remembered.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let gauges = {
            let store = lock(&self.store);
            StateGauges::of(store.time_order(), store.tree())
        };
        gauges.into_dict(py)
    }

    /// Records every update from now on, and the next whole state: whoever calls this makes one known.
    #[pyo3(name = "record")]
    fn set_recorder(&self, recorder: &PyRecorder) {
        *lock(&self.recorder) = Some((Arc::clone(&recorder.0), false));
    }

    /// How many writes there were.
    #[getter]
    fn revision(&self) -> u64 {
        lock(&self.store).tree().revision().value()
    }

    /// How many leaves were walked over, to merge them and to find out what changed.
    #[getter]
    fn visited(&self) -> u64 {
        lock(&self.store).tree().visited()
    }

    /// Makes the mirror equal to `state`; not if there were more writes than `revision` meanwhile, which `state`
    /// may lack. Says whether it did. Errors as for `push`.
    #[pyo3(signature = (time_order, state, revision = None))]
    fn replace(
        &self,
        py: Python<'_>,
        time_order: u16,
        state: &Bound<'_, PyDict>,
        revision: Option<u64>,
    ) -> PyResult<bool> {
        let bytes = codec::encode(state.as_any(), "")?;
        let merged = py.detach(|| {
            let mut store = lock(&self.store);
            let is_current = revision.is_none_or(|revision| revision == store.tree().revision().value());
            if !is_current {
                return Ok::<_, WireError>(None);
            }
            let merged = store.replace(clock::now(), Sqn::new(time_order), &bytes)?;
            self.record_state(store.time_order(), true, merged.changed > 0, &bytes);
            Ok(Some(merged))
        })?;
        merged.map_or(Ok(false), |merged| self.report(&merged, LEFT_OUT).map(|()| true))
    }
}

impl PyStore {
    /// Records a state, or what changed; of several whole ones that are the same only the first.
    fn record_state(&self, time_order: Sqn, is_whole: bool, has_changed: bool, bytes: &[u8]) {
        if let Some((recorder, has_whole)) = &mut *lock(&self.recorder)
            && (has_changed || !*has_whole)
        {
            *has_whole |= is_whole;
            recorder.state(clock::now(), time_order.value(), is_whole, bytes);
        }
    }

    fn report(&self, merged: &Merged, outcome: &str) -> PyResult<()> {
        let mut reported = lock(&self.reported);
        if reported.len() >= MAX_REPORTED {
            reported.clear();
        }
        match merged.too_large.iter().find(|leaf| reported.insert(leaf.path.clone())) {
            None => Ok(()),
            Some(leaf) => Err(PyOverflowError::new_err(format!(
                "the value at '{}' has {} bytes, but one value of the game state may have at most {}: split it \
                 into several keys{outcome}",
                leaf.path, leaf.size, leaf.limit
            ))),
        }
    }
}
