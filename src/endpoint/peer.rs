//! What the endpoint that drives a client's session shares with whoever handles its events.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use super::ServerConnection;
use crate::connection::ConnectionEvent;

/// A client and its address, shared by the endpoint that drives it and whoever handles its events.
#[derive(Debug)]
pub struct Peer {
    address: Mutex<SocketAddr>,
    /// Unlike any other peer's of this process, never 0.
    pub tag: u64,
    connection: Mutex<ServerConnection>,
    /// Somebody has been told that there are events to poll.
    announced: AtomicBool,
}

impl Peer {
    /// A peer that no server drives.
    pub fn new(address: SocketAddr, connection: ServerConnection) -> Arc<Self> {
        static NEXT_TAG: AtomicU64 = AtomicU64::new(1);
        Arc::new(Self {
            address: Mutex::new(address),
            tag: NEXT_TAG.fetch_add(1, Ordering::Relaxed),
            connection: Mutex::new(connection),
            announced: AtomicBool::new(false),
        })
    }

    /// Where its packages come from.
    pub fn address(&self) -> SocketAddr {
        *self.address.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note that its packages come from another address.
    pub(super) fn set_address(&self, address: SocketAddr) {
        *self.address.lock().unwrap_or_else(PoisonError::into_inner) = address;
    }

    /// Its connection. Held for short sections only: the packet path waits for it.
    pub fn lock(&self) -> MutexGuard<'_, ServerConnection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes out everything that happened, oldest first.
    pub fn take_events(&self, into: &mut Vec<ConnectionEvent>) {
        let mut connection = self.lock();
        self.announced.store(false, Ordering::Release);
        into.extend(std::iter::from_fn(|| connection.connection_mut().poll_event()));
    }

    /// Lets the next event be announced, though those before were never taken: whoever was told is gone.
    pub(super) fn forget_announcement(&self) {
        self.announced.store(false, Ordering::Release);
    }

    /// Whether this is the first call since events were taken.
    pub(super) fn announce(&self) -> bool {
        !self.announced.swap(true, Ordering::AcqRel)
    }
}
