//! The only PyO3: the extension module `pygase._core`.

use pyo3::prelude::*;

/// The extension module behind the `pygase` package. Private: import from `pygase` instead.
#[pymodule(name = "_core")]
mod core_module {
    #[pymodule_export]
    const __version__: &str = env!("CARGO_PKG_VERSION");
}
