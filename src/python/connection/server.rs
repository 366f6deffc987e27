//! `ServerConnection` as Python sees it.

use std::sync::Arc;

use pyo3::{
    exceptions::PyTypeError,
    prelude::*,
    types::{PyBytes, PyDict, PyTuple},
};

use super::{
    super::{server::PyPeerHandle, shim, steps, store::PyStore},
    Core, PyConnection, lock, net_core,
};
use crate::{ServerConnection, connection::Config, endpoint::Peer, wire::Sqn};

/// A connection to a client, on a server.
#[pyclass(frozen, subclass, extends = PyConnection, name = "ServerConnection", module = "pygase.connection")]
pub(in crate::python) struct PyServerConnection;

#[pymethods]
impl PyServerConnection {
    #[new]
    #[pyo3(signature = (*args, **_kwargs), text_signature = "(remote_address, event_handler, game_state_store, last_client_time_order, event_wire=None)")]
    fn new(args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> PyClassInitializer<Self> {
        let nowhere = std::net::SocketAddr::from(([0, 0, 0, 0], 0));
        let peer = Peer::new(nowhere, ServerConnection::new(Config::default(), Sqn::ZERO));
        PyClassInitializer::from(PyConnection::with_core(args.py(), Core::Server(peer))).add_subclass(Self)
    }

    #[pyo3(signature = (remote_address, event_handler, game_state_store, last_client_time_order, event_wire=None))]
    fn __init__(
        slf: &Bound<'_, Self>,
        remote_address: &Bound<'_, PyAny>,
        event_handler: &Bound<'_, PyAny>,
        game_state_store: &Bound<'_, PyAny>,
        last_client_time_order: &Bound<'_, PyAny>,
        event_wire: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        PyConnection::__init__(slf.as_super(), remote_address, event_handler, event_wire)?;
        slf.setattr("game_state_store", game_state_store)?;
        slf.setattr("last_client_time_order", last_client_time_order)
    }

    #[getter]
    fn last_client_time_order<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let time_order = match slf.as_super().get().core() {
            Core::Server(peer) => peer.lock().last_client_time_order,
            Core::Plain(_) | Core::Client(_) => Sqn::ZERO,
        };
        // Without the lock: Python may let another thread run here, which may wait for it and never lets this one on.
        shim::to_sqn(slf.py(), time_order)
    }

    #[setter]
    fn set_last_client_time_order(slf: &Bound<'_, Self>, value: Option<u16>) {
        if let Core::Server(peer) = slf.as_super().get().core() {
            peer.lock().last_client_time_order = Sqn::new(value.unwrap_or_default());
        }
    }

    /// Makes this the object of a client that a running server knows.
    fn _attach(slf: &Bound<'_, Self>, handle: &PyPeerHandle) -> PyResult<()> {
        let this = slf.as_super().get();
        let by_class = this.with(|connection| *connection.config);
        *lock(&this.core) = Core::Server(Arc::clone(&handle.0));
        // What the server was told has precedence over what the class of its connections says.
        this.with(|connection| connection.configure(connection.config.or(by_class)));
        this.owner.claim_for_net()
    }

    /// The msgpacked update for the next package.
    fn _next_update<'py>(slf: &Bound<'py, Self>, store: &PyStore) -> PyResult<Bound<'py, PyBytes>> {
        let this = slf.as_super().get();
        this.owner.claim_for_steps()?;
        Ok(PyBytes::new(slf.py(), &steps::next_update(&this.core(), store)))
    }
}

/// The peers behind Python's connection objects.
pub(in crate::python) fn peers(connections: Vec<Bound<'_, PyServerConnection>>) -> PyResult<Vec<Arc<Peer>>> {
    let peer = |connection: Bound<'_, PyServerConnection>| match net_core(connection.as_super().get())? {
        Core::Server(peer) => Ok(peer),
        Core::Plain(_) | Core::Client(_) => Err(PyTypeError::new_err("not the connection of a server")),
    };
    connections.into_iter().map(peer).collect()
}
