//! The only PyO3: the extension module `pygase._core`.
//!
//! Classes over the layers below, Python objects from and to msgpack, errors from and to exceptions. What
//! is wire, state or protocol is not decided here.

mod announce;
mod client;
pub(crate) mod codec;
mod connection;
pub(crate) mod errors;
mod events;
mod fork;
mod inbox;
mod load;
mod options;
pub(crate) mod package;
mod recording;
mod relay;
mod server;
pub(crate) mod shim;
pub(crate) mod sqn;
mod stats;
mod steps;
mod store;

use pyo3::prelude::*;

/// The extension module behind the `pygase` package. Private: import from `pygase` instead.
#[pymodule(name = "_core", gil_used = false)]
mod core_module {
    #[pymodule_export]
    #[allow(non_upper_case_globals, reason = "its name in Python")]
    const __version__: &str = env!("CARGO_PKG_VERSION");

    use pyo3::prelude::*;

    #[pymodule_export]
    use super::announce::{PyAnnouncer, PyFinder};
    #[pymodule_export]
    use super::client::{PyTickTimer, PyUdpClient};
    #[pymodule_export]
    use super::codec::{pack_event, packb, read_event, unpackb};
    #[pymodule_export]
    use super::connection::{PyClientConnection, PyConnection, PyEncodedEvent, PyServerConnection};
    #[pymodule_export]
    use super::events::PyEventBatch;
    #[pymodule_export]
    use super::fork::{fork_is_near, fork_is_over};
    #[pymodule_export]
    use super::inbox::PyInbox;
    #[pymodule_export]
    use super::load::PyLoad;
    #[pymodule_export]
    use super::package::{ClientPackage, Header, Package, ServerPackage};
    #[pymodule_export]
    use super::recording::{PyRecorder, PyRecording};
    #[pymodule_export]
    use super::relay::PyRelay;
    #[pymodule_export]
    use super::server::{PyPeerHandle, PyUdpServer, network_addresses};
    #[pymodule_export]
    use super::sqn::{sqn_add, sqn_from_bytes, sqn_newer, sqn_sub, sqn_to_bytes};
    #[pymodule_export]
    use super::store::PyStore;

    #[pymodule_export]
    const NOTICE_EVENTS: u8 = super::inbox::EVENTS;
    #[pymodule_export]
    const NOTICE_ACK: u8 = super::inbox::ACK;
    #[pymodule_export]
    const NOTICE_TIMEOUT: u8 = super::inbox::TIMEOUT;
    #[pymodule_export]
    const NOTICE_STATUS: u8 = super::inbox::STATUS;
    #[pymodule_export]
    const NOTICE_QUALITY: u8 = super::inbox::QUALITY;
    #[pymodule_export]
    const NOTICE_CONNECTED: u8 = super::inbox::CONNECTED;
    #[pymodule_export]
    const NOTICE_REMOVED: u8 = super::inbox::REMOVED;
    #[pymodule_export]
    const NOTICE_HOST: u8 = super::inbox::HOST;
    #[pymodule_export]
    const NOTICE_SHUTDOWN: u8 = super::inbox::SHUTDOWN;
    #[pymodule_export]
    const NOTICE_UNANSWERED: u8 = super::inbox::UNANSWERED;
    #[pymodule_export]
    const NOTICE_CLOSED: u8 = super::inbox::CLOSED;
    #[pymodule_export]
    const NOTICE_FAILED: u8 = super::inbox::FAILED;
    #[pymodule_export]
    const NOTICE_LOG: u8 = super::inbox::LOG;
    #[pymodule_export]
    const NOTICE_MOVED: u8 = super::inbox::MOVED;
    #[pymodule_export]
    const NOTICE_FAREWELL: u8 = super::inbox::FAREWELL;

    #[pymodule_init]
    #[allow(clippy::unnecessary_wraps, reason = "what PyO3 wants")]
    fn finish(module: &Bound<'_, PyModule>) -> PyResult<()> {
        super::package::shorten_calls(module.py());
        Ok(())
    }
}
