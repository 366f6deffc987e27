//! Many peers, sans-IO: a client's connection to its server, and a server with its clients.
//!
//! Joins what `connection` and `state` know apart: packages carry both events and game state. Addresses
//! are values here; datagrams and `now` come in as arguments, what to send and what happened come out.
//! The driver calls, in any order: `handle_datagram`, `handle_timeout`, `poll_transmit` until it has
//! nothing, `poll_event`, and sleeps until `poll_timeout`.

mod admission;
mod bans;
mod bucket;
mod client;
mod commons;
mod config;
mod counters;
mod pace;
mod peer;
mod reasons;
mod schedule;
mod server;
mod session;
mod sources;
#[cfg(test)]
mod tests;

pub use crate::bell::Bell;
pub(crate) use bucket::Bucket;
pub use client::{ClientAction, ClientConnection};
pub use commons::Commons;
pub use config::ServerConfig;
pub use counters::{Counters, Gauges};
pub use peer::Peer;
pub use server::{ServerEndpoint, ServerEvent};
pub use session::ServerConnection;

use crate::connection::Config;

/// The acknowledgement bits by which two peers of this implementation know each other; the last byte is
/// the version of what they may then do.
///
/// A client sends them while it has nothing to acknowledge, a server answers with them until the client
/// has proven its address. Neither means anything to an original peer: no package that these bits could
/// speak of has been sent yet.
const HELLO: u32 = 0x7067_7201;
/// The raw datagram by which a client with host permission stops the server.
const SHUTDOWN: &[u8] = b"shutdown";
/// The raw datagram by which an original server stops itself. From the network it means nothing.
const SHUT_ME_DOWN: &[u8] = b"shut_me_down";
/// Header, time order: what a client package has before its events.
const CLIENT_PREFIX: usize = crate::wire::HEADER_SIZE + 2;
/// Header, length of the update: what a server package has before its update.
const SERVER_PREFIX: usize = crate::wire::HEADER_SIZE + 2;

/// Largest msgpacked event in a plain package, in bytes.
pub const MAX_PLAIN_EVENT: usize = crate::wire::limits::MAX_DATAGRAM - crate::wire::HEADER_SIZE - 2;
/// Largest msgpacked event a client can send, in bytes.
pub const MAX_CLIENT_EVENT: usize = crate::wire::limits::MAX_DATAGRAM - CLIENT_PREFIX - 2;
/// Largest msgpacked event a server can send, in bytes: beside it stands an update of its time order alone.
pub const MAX_SERVER_EVENT: usize = crate::wire::limits::MAX_DATAGRAM - SERVER_PREFIX - 15 - 2;

/// What an event may have in a connection with smaller packages than usual, where it may usually have `largest`.
pub(crate) fn largest_event(config: &Config, largest: usize) -> usize {
    largest.saturating_sub(crate::wire::limits::MAX_DATAGRAM.saturating_sub(config.max_datagram))
}

/// The largest datagram to send, given what is in it without events and the first event that waits.
/// Events fill a package to its target size; only an event that cannot be split may go beyond.
fn datagram_limit(
    config: &Config,
    target: usize,
    without_events: usize,
    first_event: Option<usize>,
) -> usize {
    let needed = without_events + first_event.map_or(0, |size| 2 + size);
    needed.max(target).min(crate::wire::limits::MAX_DATAGRAM.min(config.max_datagram))
}

/// How many events a package to a peer may have: an original sends five, and reads any number.
const fn events_per_package(peer_is_ours: bool) -> usize {
    if peer_is_ours { usize::MAX } else { crate::wire::limits::EVENTS_PER_PACKAGE }
}

/// The update that changes nothing at a peer which reports `time_order`, in the form of a live one.
fn empty_update(time_order: crate::wire::Sqn) -> Vec<u8> {
    let mut update = Vec::with_capacity(15);
    crate::wire::msgpack::write_map_len(&mut update, 1);
    crate::wire::msgpack::write_time_order_fixed(&mut update, time_order);
    update
}
