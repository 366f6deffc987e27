//! PyGaSe on a Rust core: a UDP game server and client that speak the PyGaSe wire protocol.
//!
//! The layers, each knowing only those before it:
//!
//! | module | owns | must not know |
//! |---|---|---|
//! | [`wire`] | bytes: header, package layouts, sequence arithmetic, msgpack | anything that lives |
//! | [`connection`] | one peer: acknowledgements, round trip, congestion, events | sockets, clock, threads |
//! | [`state`] | one replicated tree, the views of it, the replica of it | sockets, clock, threads |
//! | [`endpoint`] | many peers: addresses, admission, host, schedule | sockets, clock, threads |
//! | [`recording`] | what a recording looks like in a file | sockets, clock, threads |
//! | [`net`] | sockets, threads, the clock | Python |
//! | [`netsim`] | a network in memory, for tests | what datagrams mean |
//! | `python` | PyO3 classes over all of this (feature `python`) | |
//!
//! Time is a [`std::time::Duration`] since an epoch of the caller's choosing and always an argument.

mod bell;
// Only Python has dates; its test needs no Python.
#[cfg(any(feature = "python", test))]
mod calendar;
pub mod connection;
mod counters;
pub mod endpoint;
pub mod net;
pub mod netsim;
#[cfg(feature = "python")]
mod python;
pub mod recording;
mod room;
pub mod state;
pub mod wire;

pub use connection::Connection;
pub use endpoint::{ClientConnection, ServerConnection};
pub use wire::{Header, Package};
