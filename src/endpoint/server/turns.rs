//! Whose turn it is: what is due on a connection by then, and the next package.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use super::{
    super::{ServerConnection, pace::Pace},
    ServerEndpoint, ServerEvent,
};
use crate::connection::Status;

/// How often tombstones that no client needs any more are cleared away.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);
/// How many packages of a large state go out in one interval, evenly, to a client of ours with a good line.
const BURST: u32 = 4;
/// How often a disconnected client is looked at.
const IDLE_CHECK: Duration = Duration::from_secs(1);
/// How many packages are brought forward to the same millisecond.
const EARLY_AT_ONCE: u32 = 128;
const MILLISECOND: Duration = Duration::from_millis(1);

impl ServerEndpoint {
    /// Lets time pass: whose turn is it?
    pub fn handle_timeout(&mut self, now: Duration) {
        let Self { wheel, due, .. } = self;
        wheel.pop_due(now, |key| due.push_back(key));
        self.hasten(now);
        self.lock_store().tick_idle(now);
        if now >= self.next_sweep {
            self.next_sweep = now + SWEEP_INTERVAL;
            self.sweep(now);
        }
    }

    /// Appends a datagram to `out` and says where it goes; `None` when nothing is due.
    pub fn poll_transmit(&mut self, now: Duration, out: &mut Vec<u8>) -> Option<SocketAddr> {
        if let Some((to, answer)) = self.answers.pop_front() {
            out.extend_from_slice(&answer);
            return Some(to);
        }
        while let Some(key) = self.due.pop_front() {
            let to = self.take_turn(now, key, out);
            if to.is_some() {
                return to;
            }
        }
        None
    }

    /// When something is due next, if nothing comes in: without a client the next sweep, because the game goes on
    /// and makes tombstones.
    pub fn poll_timeout(&self) -> Option<Duration> {
        if !self.due.is_empty() || !self.answers.is_empty() || self.bell.has_rung() {
            return Some(Duration::ZERO);
        }
        Some(self.wheel.next().map_or(self.next_sweep, |turn| turn.min(self.next_sweep)))
    }

    /// Brings the turns of connections forward that rang for fresh events. Of many at once, some have to wait for a
    /// moment: what all are told must not be lost in a full send buffer.
    fn hasten(&mut self, now: Duration) {
        let mut rang = std::mem::take(&mut self.rang);
        self.bell.take(&mut rang);
        let mut hastened = 0;
        for key in rang.drain(..) {
            let Some(entry) = self.entries.get_mut(key).and_then(Option::as_mut) else { continue };
            let mut connection = entry.peer.lock();
            if connection.stay() != entry.stay || !connection.hurries() {
                continue;
            }
            let at = now + MILLISECOND * (hastened / EARLY_AT_ONCE);
            if entry.pace.hasten(at, interval(&connection, now)) {
                hastened += 1;
                connection.connection_mut().stats.sent_early += 1;
                if entry.pace.turn <= now {
                    self.due.push_back(key);
                } else {
                    self.wheel.insert(key, entry.pace.turn);
                }
            }
        }
        self.rang = rang;
    }

    /// One turn of a connection: what timed out, then a package. Gives the address if one goes out.
    fn take_turn(&mut self, now: Duration, key: usize, out: &mut Vec<u8>) -> Option<SocketAddr> {
        let entry = self.entries.get(key)?.as_ref()?;
        if entry.pace.turn > now {
            return None;
        }
        let (peer, address, stay) = (Arc::clone(&entry.peer), entry.address, entry.stay);
        let mut pace = entry.pace;
        let mut connection = peer.lock();
        if connection.stay() != stay {
            self.let_go(key);
            return None;
        }
        let was = connection.connection().status();
        connection.connection_mut().handle_timeout(now);
        match connection.shutdown_due(now) {
            Some(true) => self.events.push_back(ServerEvent::ShutdownRequested),
            Some(false) => self.counters.shutdown_refused += 1,
            None => {}
        }
        let connected = connection.connection().status() == Status::Connected;
        if was == Status::Connected && !connected {
            connection.lose_client();
        }
        self.announce(&peer, &connection);
        let start = out.len();
        if connected {
            let mut scratch = std::mem::take(&mut self.scratch);
            connection.write_package(now, &mut self.lock_store(), &mut scratch, out);
            self.scratch = scratch;
            let interval = interval(&connection, now);
            // The first turn came at once; the second finds the emptiest slot, and the grid stays.
            if pace.turn == Duration::ZERO {
                pace = Pace::from(self.wheel.quietest(now, interval));
            } else {
                pace.advance(now, interval);
            }
            // Of many events some wait for another package.
            if connection.hurries() && pace.hasten(now, interval) {
                connection.connection_mut().stats.sent_early += 1;
            }
        } else if connection.connection().silence(now) >= self.config.idle_removal {
            drop(connection);
            self.remove(key, &peer);
            return None;
        } else {
            pace = Pace::from(now + IDLE_CHECK);
        }
        if let Some(entry) = self.entries.get_mut(key).and_then(Option::as_mut) {
            entry.pace = pace;
        }
        self.wheel.insert(key, pace.turn);
        (out.len() > start).then_some(address)
    }

    /// Clears away tombstones that no client needs any more.
    fn sweep(&mut self, now: Duration) {
        // Who joins from here on needs none of those that are there.
        let newest = self.lock_store().tree().revision();
        let floor = self.peers().filter_map(|peer| peer.lock().floor()).min();
        let floor = self.commons.sweep(now, self.shard, floor.unwrap_or(newest));
        self.lock_store().forget(floor);
    }
}

/// Time between packages on a connection, now.
fn interval(connection: &ServerConnection, now: Duration) -> Duration {
    let interval = connection.connection().interval(now);
    if connection.may_burst() { interval / BURST } else { interval }
}
