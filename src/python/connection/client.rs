//! `ClientConnection` as Python sees it.

use std::sync::{Arc, Mutex};

use pyo3::{
    exceptions::PyTypeError,
    prelude::*,
    types::{PyDict, PyTuple},
};

use super::{
    super::{codec, shim, stats::StateGauges},
    Core, PyConnection, lock, net_core,
};
use crate::{ClientConnection, net::clock, wire::Sqn};

/// Whether to forget what was there before, the time order, a dict to merge, the age in seconds.
type Snapshot<'py> = (bool, u16, Bound<'py, PyAny>, f64);

/// A connection to a server, with the client's copy of the game state.
#[pyclass(frozen, subclass, extends = PyConnection, name = "ClientConnection", module = "pygase.connection")]
pub(in crate::python) struct PyClientConnection;

#[pymethods]
impl PyClientConnection {
    #[new]
    #[pyo3(signature = (*args, **_kwargs), text_signature = "(remote_address, event_handler)")]
    fn new(args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> PyClassInitializer<Self> {
        let core = Core::Client(Arc::default());
        PyClassInitializer::from(PyConnection::with_core(args.py(), core)).add_subclass(Self)
    }

    fn __init__(
        slf: &Bound<'_, Self>,
        remote_address: &Bound<'_, PyAny>,
        event_handler: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        PyConnection::__init__(slf.as_super(), remote_address, event_handler, None)
    }

    /// The newest time order of the game state that came in.
    fn _time_order<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let time_order = match slf.as_super().get().core() {
            Core::Client(connection) => lock(&connection).replica_mut().time_order(),
            Core::Plain(_) | Core::Server(_) => Sqn::ZERO,
        };
        shim::to_sqn(slf.py(), time_order)
    }

    /// How the game state stands that came in.
    fn _state_stats<'py>(slf: &Bound<'py, Self>, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let Core::Client(connection) = slf.as_super().get().core() else { return Ok(PyDict::new(py)) };
        let gauges = {
            let mut connection = lock(&connection);
            let replica = connection.replica_mut();
            StateGauges::of(replica.time_order(), replica.tree())
        };
        gauges.into_dict(py)
    }

    /// What changed in the game state since the last call, or None: whether to forget what was there
    /// before, the time order, and a dict to merge.
    fn _pull_state<'py>(
        slf: &Bound<'py, Self>,
        py: Python<'py>,
    ) -> PyResult<Option<(bool, u16, Bound<'py, PyAny>)>> {
        let Core::Client(connection) = slf.as_super().get().core() else { return Ok(None) };
        let pulled = lock(&connection).replica_mut().pull();
        let Some(pulled) = pulled else { return Ok(None) };
        Ok(Some((pulled.fresh, pulled.time_order.value(), codec::decode(py, &pulled.update)?)))
    }

    /// The same for a second reader, who begins with everything there is, and the seconds since the newest
    /// update came.
    fn _pull_snapshot<'py>(slf: &Bound<'py, Self>, py: Python<'py>) -> PyResult<Option<Snapshot<'py>>> {
        let Core::Client(connection) = slf.as_super().get().core() else { return Ok(None) };
        let (pulled, at) = {
            let mut connection = lock(&connection);
            (connection.replica_mut().pull_snapshot(), connection.state_at())
        };
        let Some(pulled) = pulled else { return Ok(None) };
        let age = clock::now().saturating_sub(at).as_secs_f64();
        Ok(Some((pulled.fresh, pulled.time_order.value(), codec::decode(py, &pulled.update)?, age)))
    }
}

/// The machine behind Python's client connection.
pub(in crate::python) fn client(
    connection: &Bound<'_, PyClientConnection>,
) -> PyResult<Arc<Mutex<ClientConnection>>> {
    match net_core(connection.as_super().get())? {
        Core::Client(connection) => Ok(connection),
        Core::Plain(_) | Core::Server(_) => Err(PyTypeError::new_err("not the connection of a client")),
    }
}
