//! Counters and gauges, as dicts for Python.

use pyo3::{prelude::*, types::PyDict};

use crate::{
    connection::{Gauges, Stats},
    state::Tree,
    wire::Sqn,
};

/// Of a connection.
pub(super) fn of_connection(py: Python<'_>, stats: Stats, gauges: Gauges) -> PyResult<Bound<'_, PyDict>> {
    let dict = PyDict::new(py);
    for (name, value) in stats.entries().chain([
        ("in_flight", gauges.in_flight as u64),
        ("events_to_send", gauges.events_to_send as u64),
        ("bytes_to_send", gauges.bytes_to_send as u64),
        ("events_to_handle", gauges.events_to_handle as u64),
    ]) {
        dict.set_item(name, value)?;
    }
    dict.set_item("jitter", gauges.jitter)?;
    Ok(dict)
}

/// How a state stands: how many bytes of keys and values, how many values (maps included), how many deletions.
#[derive(Clone, Copy)]
pub(super) struct StateGauges {
    time_order: Sqn,
    sizes: [(&'static str, usize); 3],
}

impl StateGauges {
    pub(super) fn of(time_order: Sqn, tree: &Tree) -> Self {
        let sizes = [("size", tree.size()), ("values", tree.len()), ("deletions", tree.tombstones())];
        Self { time_order, sizes }
    }

    pub(super) fn into_dict(self, py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
        let dict = PyDict::new(py);
        dict.set_item("time_order", self.time_order.value())?;
        for (name, value) in self.sizes {
            dict.set_item(name, value)?;
        }
        Ok(dict)
    }
}
