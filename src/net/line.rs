//! A bad line between a socket and the network, for whoever wants to see how a game plays on one.
//!
//! Knows addresses and bytes, nothing of what they mean. All peers of the socket share it, as the players of a server
//! at home share its line. What becomes of the nth datagram of a direction depends on the seed alone.

use std::{net::SocketAddr, time::Duration};

use super::udp::{Counters, Outbox, add};
use crate::netsim::{Conditions, Link, Transit};

/// The most datagrams on their way in a direction: a bound for memory. What comes on top is dropped.
const MAX_IN_TRANSIT: usize = 100_000;

/// A line of two directions.
#[derive(Debug)]
pub struct Line {
    out: Direction,
    back: Direction,
}

impl Line {
    /// An idle line with the same conditions each way.
    pub fn new(conditions: Conditions, seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut direction =
            || Direction { link: Link::new(random.u64(..), conditions), transit: Transit::default() };
        Self { out: direction(), back: direction() }
    }

    /// Takes what waits in `outbox`, and puts what has come through by now in its place.
    pub(super) fn send(&mut self, now: Duration, outbox: &mut Outbox, counters: &Counters) {
        for (to, datagram) in outbox.iter() {
            self.out.send(now, to, datagram, counters);
        }
        outbox.clear();
        while let Some((to, datagram)) = self.out.receive(now) {
            outbox.buffer().extend_from_slice(&datagram);
            outbox.seal(to);
        }
    }

    /// Takes a datagram that the socket received.
    pub(super) fn take(&mut self, now: Duration, from: SocketAddr, datagram: &[u8], counters: &Counters) {
        self.back.send(now, from, datagram, counters);
    }

    /// The next of those that has come through by now, and who sent it.
    pub(super) fn receive(&mut self, now: Duration) -> Option<(SocketAddr, Vec<u8>)> {
        self.back.receive(now)
    }

    /// When the next datagram comes through, either way.
    pub(super) fn next_arrival(&self) -> Option<Duration> {
        let Self { out, back } = self;
        [out, back].into_iter().filter_map(|direction| direction.transit.next_arrival()).min()
    }

    /// Loses what is on its way.
    pub(super) fn clear(&mut self) {
        self.out.transit.clear();
        self.back.transit.clear();
    }
}

#[derive(Debug)]
struct Direction {
    link: Link,
    transit: Transit,
}

impl Direction {
    fn send(&mut self, now: Duration, peer: SocketAddr, datagram: &[u8], counters: &Counters) {
        let copies = if self.transit.len() < MAX_IN_TRANSIT {
            self.transit.send(&mut self.link, now, peer, peer, datagram)
        } else {
            0
        };
        match copies {
            0 => add(&counters.line_dropped, 1),
            1 => {}
            _ => add(&counters.line_duplicated, 1),
        }
    }

    fn receive(&mut self, now: Duration) -> Option<(SocketAddr, Vec<u8>)> {
        self.transit.receive(now).map(|datagram| (datagram.from, datagram.bytes))
    }
}
