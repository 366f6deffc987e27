//! Models of the released original, as far as the other side notices: numbers, acknowledgements, timeouts, state.

use std::collections::VecDeque;
use std::time::Duration;

use pygase::connection::{Arrival, ReceiveWindow};
use pygase::wire::{Body, Header, Kind, Package, PackageWriter, Sqn, msgpack};

use super::state::{State, merge, merge_as_original, pack_update, unpack};

const INTERVAL: Duration = Duration::from_millis(25);
const SLOW: Duration = Duration::from_millis(50);
const EVENTS: usize = 5;
/// Updates that an original server keeps.
const CACHE: usize = 100;

/// An event with its number in the ledger and how often it is sent again.
type Outgoing = (Vec<u8>, u64, u32);

/// What both sides share.
#[derive(Debug, Default)]
pub(super) struct Line {
    sequence: Sqn,
    window: ReceiveWindow,
    outgoing: VecDeque<Outgoing>,
    in_flight: Vec<(Sqn, Duration, Vec<Outgoing>)>,
    latency: f64,
    heard: Option<Duration>,
    next_send: Duration,
    /// Numbers of own events that were acknowledged.
    pub(super) acknowledged: Vec<u64>,
    /// Numbers of own events that were not, however often they were sent.
    pub(super) timed_out: Vec<u64>,
    /// Events that came.
    pub(super) came: Vec<Vec<u8>>,
    /// Something came that kills an original.
    pub(super) dead: Option<String>,
}

impl Line {
    /// Queues an event.
    pub(super) fn dispatch(&mut self, event: &[u8], number: u64, retries: u32) {
        self.outgoing.push_back((event.to_vec(), number, retries));
    }

    /// Whether something came within the timeout.
    pub(super) fn is_connected(&self, now: Duration) -> bool {
        self.heard.is_some_and(|heard| now.saturating_sub(heard) <= Duration::from_secs(5))
    }

    /// Takes in a package; says whether it is the newest.
    fn receive(&mut self, now: Duration, package: &Package<'_>) -> bool {
        let number = package.header.sequence;
        let arrival = self.window.classify(number);
        if matches!(arrival, Arrival::Duplicate | Arrival::Late) {
            self.dead = Some(format!("{arrival:?}: {number:?} after {:?}", self.window));
            return false;
        }
        let ahead = number.since(self.window.newest);
        let (had_any, bits) = (self.window.newest != Sqn::ZERO, self.window.bitfield);
        self.window.receive(number);
        if had_any && ahead > 1 {
            // The newest before a gap is forgotten.
            self.window.bitfield = bits.checked_shr(ahead.unsigned_abs()).unwrap_or(0);
        }
        self.heard = Some(now);
        let Header { ack, ack_bitfield, .. } = package.header;
        let is_acknowledged = |number: Sqn| match ack.since(number) {
            0 => ack != Sqn::ZERO,
            // The last bit is never looked at.
            behind @ 1..=31 => ack_bitfield >> (32 - behind) & 1 == 1,
            _ => false,
        };
        let (done, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut self.in_flight)
            .into_iter()
            .partition(|(number, ..)| is_acknowledged(*number));
        self.in_flight = rest;
        for (_, sent, events) in done {
            self.latency += 0.1 * (now.saturating_sub(sent).as_secs_f64() - self.latency);
            self.acknowledged.extend(events.into_iter().map(|(_, number, _)| number));
        }
        self.came.extend(package.events().map(<[u8]>::to_vec));
        arrival == Arrival::Newest
    }

    fn expire(&mut self, now: Duration) {
        let second = Duration::from_secs(1);
        let (lost, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut self.in_flight)
            .into_iter()
            .partition(|(_, sent, _)| now.saturating_sub(*sent) > second);
        self.in_flight = rest;
        for (bytes, number, retries) in lost.into_iter().flat_map(|(.., events)| events) {
            match retries.checked_sub(1) {
                Some(retries) => self.outgoing.push_back((bytes, number, retries)),
                None => self.timed_out.push(number),
            }
        }
    }

    /// The package that is due, if one is.
    fn write(&mut self, now: Duration, body: Body<'_>) -> Option<Vec<u8>> {
        if now < self.next_send {
            return None;
        }
        self.expire(now);
        self.next_send = now + if self.latency > 0.25 { SLOW } else { INTERVAL };
        self.sequence = self.sequence.next();
        let ReceiveWindow { newest: ack, bitfield: ack_bitfield } = self.window;
        let header = Header { sequence: self.sequence, ack, ack_bitfield };
        let mut out = Vec::new();
        let mut writer = PackageWriter::new(&mut out, header, body).expect("a small package");
        let mut sent = Vec::new();
        while sent.len() < EVENTS
            && let Some(event) = self.outgoing.front()
            && writer.push_event(&event.0, 2048)
        {
            sent.extend(self.outgoing.pop_front());
        }
        self.in_flight.push((self.sequence, now, sent));
        Some(out)
    }

    /// When the next package is due.
    pub(super) fn next(&self) -> Duration {
        self.next_send
    }
}

/// An unmodified client.
#[derive(Debug, Default)]
pub(super) struct OriginalClient {
    /// What it shares with a server.
    pub(super) line: Line,
    /// What its game has.
    pub(super) state: State,
    time_order: Sqn,
}

impl OriginalClient {
    /// Takes in a datagram.
    pub(super) fn handle_datagram(&mut self, now: Duration, bytes: &[u8]) {
        let Ok(package) = Package::decode(Kind::Server, bytes) else {
            self.line.dead = Some("no package".into());
            return;
        };
        self.line.receive(now, &package);
        let Body::Server { update } = package.body else { return };
        let label = msgpack::update_time_order(update).expect("a checked update");
        if label.newer_than(self.time_order) {
            merge_as_original(&mut self.state, &unpack(update));
            self.time_order = label;
        }
    }

    /// The package that is due, if one is.
    pub(super) fn transmit(&mut self, now: Duration) -> Option<Vec<u8>> {
        self.line.write(now, Body::Client { time_order: self.time_order })
    }
}

/// What an unmodified server has of one client, and the game.
#[derive(Debug, Default)]
pub(super) struct OriginalServer {
    /// What it shares with a client; there is one.
    pub(super) line: Line,
    /// The game.
    pub(super) state: State,
    /// Its number.
    pub(super) time_order: Sqn,
    cache: VecDeque<(Sqn, State)>,
    client_time_order: Sqn,
    is_spoken_to: bool,
}

impl OriginalServer {
    /// Merges an update of the game.
    pub(super) fn push(&mut self, update: &State) {
        merge(&mut self.state, update);
        self.time_order = self.time_order.next();
        self.cache.push_back((self.time_order, update.clone()));
        if self.cache.len() > CACHE {
            self.cache.pop_front();
        }
    }

    /// Takes in a datagram.
    pub(super) fn handle_datagram(&mut self, now: Duration, bytes: &[u8]) {
        let Ok(package) = Package::decode(Kind::Client, bytes) else {
            self.line.dead = Some("no package".into());
            return;
        };
        self.is_spoken_to = true;
        if self.line.receive(now, &package)
            && let Body::Client { time_order } = package.body
        {
            self.client_time_order = time_order;
        }
    }

    /// The package that is due, if one is.
    pub(super) fn transmit(&mut self, now: Duration) -> Option<Vec<u8>> {
        if !self.is_spoken_to || !self.line.is_connected(now) {
            return None;
        }
        let is_covered = self.cache.front().is_some_and(|(first, _)| {
            self.client_time_order != Sqn::ZERO && !first.newer_than(self.client_time_order)
        });
        let update = if is_covered {
            let mut update = State::new();
            for (_, part) in self.cache.iter().filter(|(label, _)| label.newer_than(self.client_time_order)) {
                for (group, units) in part {
                    update.entry(group.clone()).or_default().extend(units.clone());
                }
            }
            update
        } else {
            self.state.clone()
        };
        let update = pack_update(&update, self.time_order);
        self.line.write(now, Body::Server { update: &update })
    }
}
