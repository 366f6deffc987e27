//! A network in memory: seeded loss, delay, jitter, duplication and reordering of datagrams.
//!
//! Knows addresses and bytes, nothing of what they mean. The same seed gives the same run.

use std::{cmp::Reverse, collections::BinaryHeap, net::SocketAddr, time::Duration};

/// What a line does to datagrams. Probabilities are 0.0..=1.0.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Conditions {
    /// One-way delay.
    pub latency: Duration,
    /// Up to this much more, evenly distributed; datagrams overtake each other by it.
    pub jitter: Duration,
    /// Probability that a datagram never arrives.
    pub loss: f64,
    /// Probability that it arrives twice.
    pub duplicate: f64,
    /// Probability that one bit of it is flipped.
    pub corrupt: f64,
}

/// A datagram on its way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct InTransit {
    /// When it arrives.
    pub at: Duration,
    /// Order of sending, so that equal times keep it.
    number: u64,
    /// Who sent it.
    pub from: SocketAddr,
    /// Where it goes.
    pub to: SocketAddr,
    /// What it says.
    pub bytes: Vec<u8>,
}

/// A network without topology: everybody reaches everybody, under the same conditions.
#[derive(Debug)]
pub struct Network {
    /// In force for what is sent from now on.
    pub conditions: Conditions,
    random: fastrand::Rng,
    in_transit: BinaryHeap<Reverse<InTransit>>,
    sent: u64,
}

impl Network {
    /// An idle network.
    pub fn new(seed: u64, conditions: Conditions) -> Self {
        Self { conditions, random: fastrand::Rng::with_seed(seed), in_transit: BinaryHeap::new(), sent: 0 }
    }

    /// Sends a datagram on its way.
    pub fn send(&mut self, now: Duration, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        let Conditions { latency, jitter, loss, duplicate, corrupt } = self.conditions;
        if self.random.f64() < loss {
            return;
        }
        let copies = if self.random.f64() < duplicate { 2 } else { 1 };
        for _ in 0..copies {
            let mut bytes = bytes.to_vec();
            if !bytes.is_empty() && self.random.f64() < corrupt {
                let index = self.random.usize(..bytes.len());
                if let Some(byte) = bytes.get_mut(index) {
                    *byte ^= 1 << self.random.u8(..8);
                }
            }
            let at = now + latency + jitter.mul_f64(self.random.f64());
            self.sent += 1;
            self.in_transit.push(Reverse(InTransit { at, number: self.sent, from, to, bytes }));
        }
    }

    /// The next datagram that has arrived by `now`.
    pub fn receive(&mut self, now: Duration) -> Option<InTransit> {
        if self.next_arrival()? > now {
            return None;
        }
        self.in_transit.pop().map(|Reverse(datagram)| datagram)
    }

    /// When the next datagram arrives.
    pub fn next_arrival(&self) -> Option<Duration> {
        self.in_transit.peek().map(|Reverse(datagram)| datagram.at)
    }
}
