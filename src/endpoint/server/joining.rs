//! How a client gets its session: a stranger that has proven its address begins one, or goes on with its own.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use super::{
    super::{
        Peer, ServerConnection,
        admission::Proven,
        bucket::Bucket,
        commons::Room,
        empty_update,
        pace::{BellPull, Pace},
        reasons::FULL,
        session::{Lapsed, write_farewell},
    },
    Entry, ServerEndpoint, ServerEvent, time_order,
};
use crate::{
    connection::{ReceiveWindow, token_in},
    wire::{Header, Package, Sqn},
};

impl ServerEndpoint {
    pub(super) fn handle_stranger(
        &mut self,
        now: Duration,
        from: SocketAddr,
        size: usize,
        package: &Package<'_>,
    ) {
        let mut answer = Vec::new();
        let proven = self.admission.receive(now, from, size, package, &mut self.counters, &mut answer);
        if !answer.is_empty() {
            self.answers.push_back((from, answer));
        }
        let Some(mut proven) = proven else { return };
        // What came before the proof may have come from somebody else, under numbers that it would never reach.
        if !proven.window.is_near(package.header.sequence) {
            proven.window = ReceiveWindow::default();
            proven.time_order = time_order(package);
        }
        let mut lapsed = None;
        if let Some(token) = package.events().find_map(token_in).filter(|_| proven.hello) {
            if let Some(peer) = self.commons.session(token) {
                match self.move_session(now, &peer, from, proven, size, package) {
                    None => return,
                    // Another shard has just forgotten it.
                    Some(given_back) => proven = given_back,
                }
            }
            lapsed = self.commons.recall_lapsed(token);
            self.counters.wrong_tokens += u64::from(lapsed.is_none());
        }
        let room = self.commons.admit(now, from, &self.config);
        if room != Room::Yes {
            let is_full = room == Room::Full;
            let counter =
                if is_full { &mut self.counters.over_limit } else { &mut self.counters.over_source };
            *counter += 1;
            if proven.hello {
                let sequence = proven.local_sequence.next();
                let header = Header { sequence, ack: package.header.sequence, ack_bitfield: 0 };
                let mut answer = Vec::new();
                write_farewell(header, &empty_update(proven.time_order), FULL, &mut answer);
                self.answers.push_back((from, answer));
            }
            return;
        }
        let peer = self.commons.recall(from).unwrap_or_else(|| {
            Peer::new(from, ServerConnection::new(Arc::clone(&self.of_connections), Sqn::ZERO))
        });
        // A client that shows one keeps it: it may never hear of another before this server is gone, too.
        let token = match lapsed {
            Some(Lapsed { token, arrivals }) => {
                proven.arrivals = Some(arrivals);
                token
            }
            None => self.admission.draw_token(from),
        };
        let stay = {
            let mut connection = peer.lock();
            connection.begin(now, proven, token, &self.lock_store());
            self.commons.name_session(None, connection.token(), &peer);
            connection.claim(BellPull::of(&self.bell, self.next_key()))
        };
        let key = self.enter(from, &peer, stay);
        self.counters.proven += 1;
        self.events.push_back(ServerEvent::Connected(Arc::clone(&peer)));
        if self.commons.make_host(peer.tag) {
            self.events.push_back(ServerEvent::Host(Some(Arc::clone(&peer))));
        }
        let mut connection = peer.lock();
        connection.connection_mut().stats.bytes_received += size as u64;
        // The proof belongs to the session however far its number is from those before: they may have been lost.
        connection.receive(now, package, &self.lock_store());
        self.due.push_back(key);
        self.announce(&peer, &connection);
    }

    /// The key of the next connection that enters.
    fn next_key(&self) -> usize {
        self.free.last().copied().unwrap_or(self.entries.len())
    }

    /// Drives the connection of `peer`, at `address`, from here on: its key.
    fn enter(&mut self, address: SocketAddr, peer: &Arc<Peer>, stay: u64) -> usize {
        let key = self.next_key();
        self.free.pop();
        let entry = Some(Entry {
            peer: Arc::clone(peer),
            stay,
            address,
            pace: Pace::default(),
            packages: Bucket::default(),
            event_bytes: Bucket::default(),
        });
        match self.entries.get_mut(key) {
            Some(slot) => *slot = entry,
            None => self.entries.push(entry),
        }
        self.by_address.insert(address, key);
        key
    }

    /// Goes on with a session at an address that has proven itself and shown its token. Gives back what is known of
    /// the address if the session has ended meanwhile.
    fn move_session(
        &mut self,
        now: Duration,
        peer: &Arc<Peer>,
        to: SocketAddr,
        proven: Proven,
        size: usize,
        package: &Package<'_>,
    ) -> Option<Proven> {
        let mut connection = peer.lock();
        if connection.has_ended() {
            return Some(proven);
        }
        let from = peer.address();
        let known = self.by_address.get(&from).copied().filter(|key| {
            self.entry(Some(*key))
                .is_some_and(|entry| entry.peer.tag == peer.tag && entry.stay == connection.stay())
        });
        let key = if let Some(key) = known {
            if let Some(entry) = self.entries.get_mut(key).and_then(Option::as_mut) {
                entry.address = to;
                entry.pace = Pace::default();
            }
            self.by_address.remove(&from);
            self.by_address.insert(to, key);
            key
        } else {
            // Whoever drives it notices when it looks at it next, under the same lock.
            if let Some(floor) = connection.floor() {
                self.commons.lower_floor(self.shard, floor);
            }
            let pull = BellPull::of(&self.bell, self.next_key());
            self.enter(to, peer, connection.claim(pull))
        };
        self.commons.relocate(from, to);
        peer.set_address(to);
        self.counters.moved += 1;
        self.events.push_back(ServerEvent::Moved(Arc::clone(peer), from));
        connection.go_on(now, proven, &self.lock_store());
        connection.connection_mut().stats.bytes_received += size as u64;
        connection.receive(now, package, &self.lock_store());
        self.due.push_back(key);
        self.announce(peer, &connection);
        None
    }
}
