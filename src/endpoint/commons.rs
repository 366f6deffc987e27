//! What the shards of a server have in common: who may join, sessions that go from one to another, and who is host.
//!
//! Each shard drives its connections alone; only what is rare comes here. The lock is held for short sections, and
//! must not be held by whoever takes the lock of a connection.

use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{Peer, ServerConfig, session::Lapsed, sources::Sources};
use crate::{connection::Token, state::Revision};

/// Of how many sessions that lapsed it is known which events came.
const LAPSED: usize = 1024;

/// What the endpoints of one server share; by itself, an endpoint has one of its own.
#[derive(Clone, Debug, Default)]
pub struct Commons(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    /// Sessions of clients of ours.
    sessions: HashMap<Token, Arc<Peer>>,
    /// Those that were forgotten, the latest last.
    lapsed: VecDeque<Lapsed>,
    /// Peers of an earlier run, taken up again when their address proves itself again.
    remembered: HashMap<SocketAddr, Arc<Peer>>,
    sources: Sources,
    connections: usize,
    /// Connections that are there no more, which whoever handles events has not heard of.
    unheard: usize,
    host: Option<u64>,
    /// Revision up to which no client of each shard needs tombstones, when it last looked.
    floors: Vec<Revision>,
}

/// Whether there is room for one more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    Yes,
    /// There are as many connections as there may be.
    Full,
    /// Its source has enough of them, or makes them too fast.
    SourceFull,
}

impl Commons {
    /// How many clients have proven themselves and are not forgotten.
    pub fn connections(&self) -> usize {
        self.lock().connections
    }

    /// Makes room for a shard: its number.
    pub(super) fn enlist(&self) -> usize {
        let floors = &mut self.lock().floors;
        floors.push(Revision::ZERO);
        floors.len() - 1
    }

    /// Makes `peer` the one that its address is taken up again with.
    pub(super) fn remember(&self, peer: Arc<Peer>, lapsed: Option<Lapsed>) {
        self.remember_lapsed(lapsed);
        self.lock().remembered.insert(peer.address(), peer);
    }

    /// The peer that `address` had in an earlier run.
    pub(super) fn recall(&self, address: SocketAddr) -> Option<Arc<Peer>> {
        self.lock().remembered.remove(&address)
    }

    /// Keeps what is to be known of a session that was forgotten.
    pub(super) fn remember_lapsed(&self, lapsed: Option<Lapsed>) {
        let all = &mut self.lock().lapsed;
        all.extend(lapsed);
        if all.len() > LAPSED {
            all.pop_front();
        }
    }

    /// What is known of a session that was forgotten.
    pub(super) fn recall_lapsed(&self, token: Token) -> Option<Lapsed> {
        let all = &mut self.lock().lapsed;
        let index = all.iter().position(|lapsed| lapsed.token == token)?;
        all.remove(index)
    }

    /// The peer with the session of `token`.
    pub(super) fn session(&self, token: Token) -> Option<Arc<Peer>> {
        self.lock().sessions.get(&token).cloned()
    }

    /// Lets the session of `peer` be known by `token` and no more by the one `before`.
    pub(super) fn name_session(&self, before: Option<Token>, token: Option<Token>, peer: &Arc<Peer>) {
        let sessions = &mut self.lock().sessions;
        before.map(|before| sessions.remove(&before));
        sessions.extend(token.map(|token| (token, Arc::clone(peer))));
    }

    /// Counts a connection from `address`, if there is room for it.
    pub(super) fn admit(&self, now: Duration, address: SocketAddr, config: &ServerConfig) -> Room {
        let inner = &mut *self.lock();
        if inner.connections + inner.unheard >= config.max_connections {
            return Room::Full;
        }
        if !inner.sources.admit(now, address, config) {
            return Room::SourceFull;
        }
        inner.connections += 1;
        Room::Yes
    }

    /// So many connections that are there no more are not known to be gone: they keep their places.
    pub(super) fn set_unheard(&self, unheard: usize) {
        self.lock().unheard = unheard;
    }

    /// A connection goes on at another address.
    pub(super) fn relocate(&self, from: SocketAddr, to: SocketAddr) {
        let sources = &mut self.lock().sources;
        sources.leave(from);
        sources.enter(to);
    }

    /// A connection is there no more.
    pub(super) fn leave(&self, address: SocketAddr, token: Option<Token>) {
        let inner = &mut *self.lock();
        inner.sources.leave(address);
        inner.connections = inner.connections.saturating_sub(1);
        token.map(|token| inner.sessions.remove(&token));
    }

    /// Gives host permission to the client with `tag` if nobody has it; says whether it did.
    pub(super) fn make_host(&self, tag: u64) -> bool {
        let host = &mut self.lock().host;
        let is_free = host.is_none();
        host.get_or_insert(tag);
        is_free
    }

    /// Whether the client with `tag` has host permission.
    pub(super) fn is_host(&self, tag: u64) -> bool {
        self.lock().host == Some(tag)
    }

    /// Takes host permission from the client with `tag`; says whether it had it.
    pub(super) fn resign(&self, tag: u64) -> bool {
        self.lock().host.take_if(|host| *host == tag).is_some()
    }

    /// Takes note that the clients of a shard need no tombstones up to `floor`; gives that of all of them.
    pub(super) fn sweep(&self, now: Duration, shard: usize, floor: Revision) -> Revision {
        let inner = &mut *self.lock();
        inner.sources.sweep(now);
        if let Some(known) = inner.floors.get_mut(shard) {
            *known = floor;
        }
        inner.floors.iter().copied().min().unwrap_or(floor)
    }

    /// A client came to a shard that may need more tombstones than those it had.
    pub(super) fn lower_floor(&self, shard: usize, floor: Revision) {
        if let Some(known) = self.lock().floors.get_mut(shard) {
            *known = floor.min(*known);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
