//! A network in memory: seeded loss (evenly or in bursts), delay, jitter, reordering, duplication, corruption and
//! a limited rate of datagrams.
//!
//! Knows addresses and bytes, nothing of what they mean; time is an argument. The same seed gives the same run.
//! A [`Link`] is one direction of one line; a [`Network`] is a link for each pair of addresses, and what is on
//! its way on them. The tests run on it, and so does any relay that has sockets of its own.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    net::SocketAddr,
    ops::AddAssign,
    time::Duration,
};

/// How much longer than others a datagram takes that is held back for others to overtake it.
pub const HELD_BACK: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(50));
/// What would wait longer than this for its turn on a line of limited rate is dropped.
pub const LONGEST_QUEUE: Duration = Duration::from_millis(200);

/// What a line does to datagrams. Probabilities are 0.0..=1.0.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Conditions {
    /// One-way delay.
    pub latency: Duration,
    /// Up to this much more, evenly distributed; datagrams overtake each other by it.
    pub jitter: Duration,
    /// Share of the datagrams that never arrive; 1.0 is an outage.
    pub loss: f64,
    /// Mean length of the outages that make up the loss; zero: each datagram is lost or not by itself.
    pub burst: Duration,
    /// Probability that a datagram arrives twice.
    pub duplicate: f64,
    /// Probability that a datagram is [`HELD_BACK`].
    pub reorder: f64,
    /// Probability that one bit of a datagram is flipped.
    pub corrupt: f64,
    /// Bytes per second that get through; zero: any number. Up to [`LONGEST_QUEUE`] of them wait.
    pub rate: u32,
}

/// What became of the datagrams that were sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fates {
    /// Given to the line.
    pub sent: u64,
    /// Never arrived.
    pub lost: u64,
    /// Arrived twice.
    pub duplicated: u64,
    /// Held back, copies included.
    pub held_back: u64,
    /// Changed, copies included.
    pub corrupted: u64,
    /// Found no room on a line of limited rate; not counted as lost.
    pub crowded_out: u64,
}

impl AddAssign for Fates {
    fn add_assign(&mut self, other: Self) {
        self.sent += other.sent;
        self.lost += other.lost;
        self.duplicated += other.duplicated;
        self.held_back += other.held_back;
        self.corrupted += other.corrupted;
        self.crowded_out += other.crowded_out;
    }
}

/// One direction of one line.
#[derive(Clone, Debug)]
pub struct Link {
    /// In force for what is sent from now on.
    pub conditions: Conditions,
    /// What became of what was sent so far.
    pub fates: Fates,
    random: fastrand::Rng,
    /// Whether an outage is on, and when that changes.
    outage: bool,
    changes_at: Duration,
    /// When the last byte of what was sent before is on the line.
    busy_until: Duration,
}

impl Link {
    /// An idle line.
    pub fn new(seed: u64, conditions: Conditions) -> Self {
        Self {
            conditions,
            fates: Fates::default(),
            random: fastrand::Rng::with_seed(seed),
            outage: false,
            changes_at: Duration::ZERO,
            busy_until: Duration::ZERO,
        }
    }

    /// Sends a datagram: hands each copy that will arrive to `deliver`, with the time when it does.
    pub fn send(&mut self, now: Duration, bytes: &[u8], mut deliver: impl FnMut(Duration, Vec<u8>)) {
        let Conditions { latency, jitter, duplicate, reorder, corrupt, .. } = self.conditions;
        self.fates.sent += 1;
        if self.loses(now) {
            self.fates.lost += 1;
            return;
        }
        let Some(on_the_line) = self.queue(now, bytes.len()) else {
            self.fates.crowded_out += 1;
            return;
        };
        let copies = if self.random.f64() < duplicate { 2 } else { 1 };
        self.fates.duplicated += copies - 1;
        for _ in 0..copies {
            let mut bytes = bytes.to_vec();
            if !bytes.is_empty() && self.random.f64() < corrupt {
                let index = self.random.usize(..bytes.len());
                if let Some(byte) = bytes.get_mut(index) {
                    *byte ^= 1 << self.random.u8(..8);
                }
                self.fates.corrupted += 1;
            }
            let mut at = on_the_line + latency + jitter.mul_f64(self.random.f64());
            if self.random.f64() < reorder {
                let (least, most) = HELD_BACK;
                at += least + most.saturating_sub(least).mul_f64(self.random.f64());
                self.fates.held_back += 1;
            }
            deliver(at, bytes);
        }
    }

    /// Whether what is sent now is lost: in bursts, a chain of outages and the times between them.
    fn loses(&mut self, now: Duration) -> bool {
        let Conditions { loss, burst, .. } = self.conditions;
        if burst.is_zero() || loss <= 0.0 || loss >= 1.0 {
            return self.random.f64() < loss;
        }
        if self.changes_at.is_zero() {
            self.changes_at = now;
            self.outage = self.random.f64() >= loss;
        }
        while self.changes_at <= now {
            self.outage = !self.outage;
            let mean = if self.outage { 1.0 } else { (1.0 - loss) / loss };
            // Exponentially distributed, so that the chain has no memory; at least a moment, so that it ends.
            let factor = -(1.0 - self.random.f64()).ln() * mean;
            self.changes_at += burst.mul_f64(factor).max(Duration::from_micros(1));
        }
        self.outage
    }

    /// When the last byte of a datagram that is sent now is on the line; `None` if too many wait before it.
    fn queue(&mut self, now: Duration, size: usize) -> Option<Duration> {
        if self.conditions.rate == 0 {
            return Some(now);
        }
        let begins = self.busy_until.max(now);
        if begins > now + LONGEST_QUEUE {
            return None;
        }
        self.busy_until = begins + Duration::from_secs_f64(size as f64 / f64::from(self.conditions.rate));
        Some(self.busy_until)
    }
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

/// Datagrams on their way, in the order in which they arrive.
#[derive(Debug, Default)]
pub struct Transit {
    datagrams: BinaryHeap<Reverse<InTransit>>,
    sent: u64,
}

impl Transit {
    /// Sends a datagram over a link. How many copies of it will arrive: 0 to 2.
    pub fn send(
        &mut self,
        link: &mut Link,
        now: Duration,
        from: SocketAddr,
        to: SocketAddr,
        bytes: &[u8],
    ) -> usize {
        let before = self.datagrams.len();
        link.send(now, bytes, |at, bytes| {
            self.sent += 1;
            self.datagrams.push(Reverse(InTransit { at, number: self.sent, from, to, bytes }));
        });
        self.datagrams.len() - before
    }

    /// The next datagram that has arrived by `now`.
    pub fn receive(&mut self, now: Duration) -> Option<InTransit> {
        if self.next_arrival()? > now {
            return None;
        }
        self.datagrams.pop().map(|Reverse(datagram)| datagram)
    }

    /// When the next datagram arrives.
    pub fn next_arrival(&self) -> Option<Duration> {
        self.datagrams.peek().map(|Reverse(datagram)| datagram.at)
    }

    /// How many datagrams are on their way.
    pub fn len(&self) -> usize {
        self.datagrams.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.datagrams.is_empty()
    }

    /// Loses all of them.
    pub fn clear(&mut self) {
        self.datagrams.clear();
    }
}

/// A network without topology: everybody reaches everybody, under the same conditions unless told otherwise.
#[derive(Debug)]
pub struct Network {
    /// In force for what is sent from now on.
    pub conditions: Conditions,
    /// In force in their place for what is sent to these addresses.
    pub towards: HashMap<SocketAddr, Conditions>,
    random: fastrand::Rng,
    links: HashMap<(SocketAddr, SocketAddr), Link>,
    transit: Transit,
}

impl Network {
    /// An idle network.
    pub fn new(seed: u64, conditions: Conditions) -> Self {
        Self {
            conditions,
            towards: HashMap::new(),
            random: fastrand::Rng::with_seed(seed),
            links: HashMap::new(),
            transit: Transit::default(),
        }
    }

    /// Sends a datagram on its way.
    pub fn send(&mut self, now: Duration, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        let Self { conditions, towards, random, links, transit } = self;
        let link = links.entry((from, to)).or_insert_with(|| Link::new(random.u64(..), *conditions));
        link.conditions = *towards.get(&to).unwrap_or(conditions);
        transit.send(link, now, from, to, bytes);
    }

    /// The next datagram that has arrived by `now`.
    pub fn receive(&mut self, now: Duration) -> Option<InTransit> {
        self.transit.receive(now)
    }

    /// When the next datagram arrives.
    pub fn next_arrival(&self) -> Option<Duration> {
        self.transit.next_arrival()
    }

    /// What became of everything that was sent so far.
    pub fn fates(&self) -> Fates {
        let mut sum = Fates::default();
        for link in self.links.values() {
            sum += link.fates;
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Sends a datagram of 100 bytes each millisecond for a hundred seconds; when each copy arrives.
    fn arrivals(conditions: Conditions) -> (Vec<(usize, Duration)>, Fates) {
        let mut link = Link::new(5, conditions);
        let mut arrivals = Vec::new();
        for number in 0..100_000_usize {
            link.send(MS * (1 + number as u32), &[7; 100], |at, _| arrivals.push((number, at)));
        }
        (arrivals, link.fates)
    }

    #[test]
    fn losses_come_one_by_one_or_in_bursts_of_the_same_share() {
        for burst in [Duration::ZERO, MS * 200] {
            let conditions = Conditions { loss: 0.2, burst, ..Conditions::default() };
            let (arrived, fates) = arrivals(conditions);
            assert_eq!(arrived.len() as u64 + fates.lost, 100_000);
            assert!((15_000..25_000).contains(&fates.lost), "{fates:?}");
            let gaps = arrived.windows(2).filter(|pair| pair[1].0 - pair[0].0 > 1).count();
            let mean = fates.lost as f64 / gaps as f64;
            let expected = if burst.is_zero() { 1.25 } else { 200.0 };
            assert!((mean / expected - 1.0).abs() < 0.4, "{mean} in a row");
        }
    }

    #[test]
    fn what_is_held_back_is_overtaken() {
        let (arrived, fates) =
            arrivals(Conditions { reorder: 0.1, latency: MS * 25, ..Conditions::default() });
        assert!((9_000..11_000).contains(&fates.held_back));
        for (number, at) in arrived {
            let late = at.saturating_sub(MS * (26 + number as u32));
            assert!(late.is_zero() || late >= HELD_BACK.0 && late <= HELD_BACK.1, "{late:?}");
        }
    }

    #[test]
    fn a_rate_delays_and_then_drops() {
        let (arrived, fates) = arrivals(Conditions { rate: 50_000, ..Conditions::default() });
        assert!((fates.crowded_out as f64 / 50_000.0 - 1.0).abs() < 0.01, "{fates:?}");
        let slowest =
            arrived.iter().map(|(number, at)| at.saturating_sub(MS * (1 + *number as u32))).max().unwrap();
        assert!(slowest > LONGEST_QUEUE && slowest <= LONGEST_QUEUE + MS * 2, "{slowest:?}");
    }

    #[test]
    fn the_same_seed_gives_the_same_run_and_directions_differ() {
        let (a, b) = (([10, 0, 0, 1], 1).into(), ([10, 0, 0, 2], 2).into());
        let run = || {
            let everything = Conditions {
                jitter: MS * 9,
                loss: 0.1,
                duplicate: 0.1,
                corrupt: 0.1,
                ..Conditions::default()
            };
            let mut network = Network::new(3, everything);
            network.towards.insert(b, Conditions { loss: 1.0, ..Conditions::default() });
            for number in 0..1000_u32 {
                network.send(MS * number, a, b, b"lost");
                network.send(MS * number, b, a, &number.to_be_bytes());
            }
            let arrived: Vec<_> = std::iter::from_fn(|| network.receive(MS * 2000)).collect();
            (arrived, network.fates())
        };
        let (arrived, fates) = run();
        assert_eq!((&arrived, fates), (&run().0, run().1));
        assert!(arrived.iter().all(|datagram| datagram.to == a));
        assert!(fates.lost > 1000 && fates.duplicated > 50 && fates.corrupted > 50, "{fates:?}");
    }
}
