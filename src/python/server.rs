//! The server's threads and sockets, as Python starts and stops them.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use pyo3::{
    exceptions::{PyOverflowError, PyValueError},
    prelude::*,
    types::PyDict,
};

use super::{
    connection::{PyServerConnection, lock, peers},
    inbox::PyInbox,
    options::{line, server_config, shards},
    store::PyStore,
};
use crate::{
    endpoint::Peer,
    net::{UdpServer, local_addresses},
};

/// A client that a running server knows.
#[pyclass(frozen, name = "PeerHandle", module = "pygase._core")]
pub(super) struct PyPeerHandle(pub(super) Arc<Peer>);

#[pymethods]
impl PyPeerHandle {
    /// (host, port) of the client.
    #[getter]
    fn address(&self) -> (String, u16) {
        (self.0.address().ip().to_string(), self.0.address().port())
    }

    /// By which its notices name it.
    #[getter]
    fn tag(&self) -> u64 {
        self.0.tag
    }
}

/// A running server.
#[pyclass(frozen, name = "UdpServer", module = "pygase._core")]
pub(super) struct PyUdpServer {
    address: (String, u16),
    server: Mutex<Option<Arc<UdpServer>>>,
}

#[pymethods]
impl PyUdpServer {
    #[new]
    #[pyo3(signature = (hostname, port, store, inbox, resume=Vec::new(), options=None))]
    fn new(
        py: Python<'_>,
        hostname: &str,
        port: u16,
        store: &PyStore,
        inbox: &PyInbox,
        resume: Vec<Bound<'_, PyServerConnection>>,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let config = server_config(options)?;
        let remembered = peers(resume)?;
        for peer in &remembered {
            let mut connection = peer.lock();
            let by_class = *connection.connection().config;
            connection.connection_mut().configure(config.connection.or(by_class));
        }
        let (store, inbox) = (Arc::clone(&store.store), Arc::clone(&inbox.inbox));
        let (shards, line) = (shards(options)?, line(options)?);
        let server = py.detach(|| {
            UdpServer::start_sharded(shards, line, hostname, port, config, &store, &inbox, remembered)
        })?;
        let address = server.local_addr();
        let address = (address.ip().to_string(), address.port());
        Ok(Self { address, server: Mutex::new(Some(Arc::new(server))) })
    }

    /// (host, port) the socket is bound to.
    #[getter]
    fn local_address(&self) -> (String, u16) {
        self.address.clone()
    }

    /// Stops the threads and closes the socket. Harmless when done twice.
    fn stop(&self, py: Python<'_>) {
        let server = lock(&self.server).take();
        py.detach(|| {
            if let Some(server) = server {
                server.stop();
            }
        });
    }

    /// Takes nothing in from a host, or from one port of it, for ever or for `seconds`. Clients of ours that are there
    /// are told the reason. ValueError if `host` is no IP
    /// address, OverflowError if there are too many bans.
    #[pyo3(signature = (host, port, seconds, reason))]
    fn ban(
        &self,
        py: Python<'_>,
        host: &str,
        port: Option<u16>,
        seconds: Option<f64>,
        reason: String,
    ) -> PyResult<()> {
        let (host, time) = (ip(host)?, seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()));
        let Some(server) = lock(&self.server).clone() else { return Ok(()) };
        if py.detach(|| server.ban(host, port, time, reason)) == Some(false) {
            return Err(PyOverflowError::new_err("too many bans: max_bans hosts or addresses are banned"));
        }
        Ok(())
    }

    /// Lifts such a ban.
    #[pyo3(signature = (host, port=None))]
    fn unban(&self, host: &str, port: Option<u16>) -> PyResult<()> {
        let host = ip(host)?;
        if let Some(server) = lock(&self.server).clone() {
            server.unban(host, port);
        }
        Ok(())
    }

    /// Counters of the server: what strangers sent, what was dropped and why.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        let Some(server) = lock(&self.server).clone() else { return Ok(dict) };
        // The server's thread answers when it comes to it.
        for (name, value) in py.detach(|| server.stats()).entries() {
            dict.set_item(name, value)?;
        }
        Ok(dict)
    }
}

pub(super) fn ip(host: &str) -> PyResult<IpAddr> {
    host.parse().map_err(|_| PyValueError::new_err(format!("host must be an IP address, not {host:?}")))
}

/// Addresses of this machine under which others in its networks can reach it.
#[pyfunction]
pub(super) fn network_addresses(py: Python<'_>) -> PyResult<Vec<String>> {
    let addresses = py.detach(local_addresses)?;
    Ok(addresses.iter().map(ToString::to_string).collect())
}
