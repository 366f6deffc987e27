//! What `os.register_at_fork` is given.

use pyo3::prelude::*;

use crate::net::fork;

/// Lets the threads of the core finish their steps, and begin none until `fork_is_over`.
#[pyfunction]
pub(super) fn fork_is_near() {
    // They need no interpreter for it, so it may be kept.
    fork::stand_still();
}

/// Lets the threads of the core go on.
#[pyfunction]
pub(super) fn fork_is_over() {
    fork::go_on();
}
