//! How a session ends: for silence, for a ban, with the server.

use std::{net::IpAddr, sync::Arc, time::Duration};

use super::{
    super::{Peer, reasons::SHUT_DOWN},
    ServerEndpoint, ServerEvent,
};

/// How often a client of ours is told in the same words that its session ends.
const FAREWELLS: usize = 3;

impl ServerEndpoint {
    /// Takes nothing in from a host, or with a port from that address only, for ever or for `time`; connections
    /// from there are forgotten at once, and clients of ours told why. Says whether there was room for one more ban.
    pub fn ban(
        &mut self,
        now: Duration,
        host: IpAddr,
        port: Option<u16>,
        time: Option<Duration>,
        reason: &str,
    ) -> bool {
        if !self.bans.add(now, host, port, time.map(|time| now.saturating_add(time))) {
            // Every shard refuses it, and it is one.
            self.counters.bans_refused += u64::from(self.shard == 0);
            return false;
        }
        let keys: Vec<_> = self.by_address.iter().filter(|(from, _)| self.bans.cover(now, **from)).collect();
        let keys: Vec<_> = keys.into_iter().map(|(_, key)| *key).collect();
        for key in keys {
            if let Some((peer, stay)) =
                self.entry(Some(key)).map(|entry| (Arc::clone(&entry.peer), entry.stay))
            {
                self.say_farewell(now, &peer, stay, reason);
                self.remove(key, &peer);
            }
        }
        true
    }

    /// Lifts such a ban; says whether there was one.
    pub fn unban(&mut self, host: IpAddr, port: Option<u16>) -> bool {
        self.bans.lift(host, port)
    }

    /// Ends every session: the clients are disconnected, events for them have timed out, and clients of ours are to be
    /// told, see [`Self::poll_transmit`].
    pub fn close(&mut self, now: Duration) {
        for entry in std::mem::take(&mut self.entries).into_iter().flatten() {
            self.say_farewell(now, &entry.peer, entry.stay, SHUT_DOWN);
            let mut connection = entry.peer.lock();
            if connection.stay() == entry.stay {
                connection.end();
                self.announce(&entry.peer, &connection);
                self.commons.leave(entry.address, connection.token());
                self.commons.resign(entry.peer.tag);
            }
        }
        self.by_address.clear();
        self.due.clear();
    }

    /// Tells a client of ours that its session ends, unless another shard has it.
    fn say_farewell(&mut self, now: Duration, peer: &Arc<Peer>, stay: u64, reason: &str) {
        let mut farewell = Vec::new();
        let mut connection = peer.lock();
        if connection.stay() == stay {
            connection.write_farewell(now, reason, &mut farewell);
        }
        if !farewell.is_empty() {
            let address = peer.address();
            // Nothing follows that would make up for a loss. The client takes all copies but the first for late.
            self.answers.extend(std::iter::repeat_n((address, farewell), FAREWELLS));
        }
    }

    pub(super) fn remove(&mut self, key: usize, peer: &Arc<Peer>) {
        let Some((address, stay)) = self.entry(Some(key)).map(|entry| (entry.address, entry.stay)) else {
            return;
        };
        {
            let mut connection = peer.lock();
            if connection.stay() != stay {
                self.let_go(key);
                return;
            }
            connection.end();
            let lapsed = connection.take_lapsed();
            self.announce(peer, &connection);
            self.commons.leave(address, connection.token());
            self.commons.remember_lapsed(lapsed);
        }
        self.let_go(key);
        self.events.push_back(ServerEvent::Removed(Arc::clone(peer)));
        if self.commons.resign(peer.tag) {
            self.events.push_back(ServerEvent::Host(None));
        }
    }

    /// Forgets a connection that another shard drives.
    pub(super) fn let_go(&mut self, key: usize) {
        if let Some(entry) = self.entries.get_mut(key).and_then(Option::take) {
            self.free.push(key);
            self.by_address.remove(&entry.address);
        }
    }
}
