//! The only PyO3: the extension module `pygase._core`.
//!
//! Classes over the layers below, Python objects from and to msgpack, errors from and to exceptions. What
//! is wire, state or protocol is not decided here.

pub(crate) mod codec;
pub(crate) mod errors;
pub(crate) mod package;
pub(crate) mod shim;
pub(crate) mod sqn;

use pyo3::prelude::*;

/// The extension module behind the `pygase` package. Private: import from `pygase` instead.
#[pymodule(name = "_core", gil_used = false)]
mod core_module {
    #[pymodule_export]
    #[allow(non_upper_case_globals, reason = "its name in Python")]
    const __version__: &str = env!("CARGO_PKG_VERSION");

    #[pymodule_export]
    use super::codec::{packb, unpackb};
    #[pymodule_export]
    use super::package::{ClientPackage, Header, Package, ServerPackage};
    #[pymodule_export]
    use super::sqn::{sqn_add, sqn_from_bytes, sqn_newer, sqn_sub, sqn_to_bytes};
}
