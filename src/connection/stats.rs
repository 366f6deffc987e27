//! Counters of one connection: everything that was dropped has one. Gauges: how it stands.

use super::Connection;

/// What a connection has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Packages sent.
    pub sent: u64,
    /// Packages accepted.
    pub received: u64,
    /// Bytes sent.
    pub bytes_sent: u64,
    /// Bytes received, dropped datagrams included.
    pub bytes_received: u64,
    /// Own packages the other side acknowledged.
    pub acknowledged: u64,
    /// Own packages that were not acknowledged within the package timeout.
    pub lost: u64,
    /// Those of them that were acknowledged after all.
    pub acknowledged_late: u64,
    /// Packages dropped because their number had come before.
    pub duplicate: u64,
    /// Packages dropped because they were more than 32 behind the newest.
    pub late: u64,
    /// Datagrams dropped because they were not packages.
    pub malformed: u64,
    /// Well-formed packages dropped because they acknowledge what was never sent.
    pub implausible: u64,
    /// Packages or events refused because a queue was full.
    pub queue_full: u64,
    /// Packages dropped because more came than the rate of packages or event bytes allows.
    pub over_rate: u64,
    /// Events received.
    pub events_received: u64,
    /// Events sent, each time they were.
    pub events_sent: u64,
    /// Events dropped because they had come before, in another package.
    pub events_repeated: u64,
    /// Events handed on after some that were dispatched later, because they came too late to be waited for.
    pub events_out_of_order: u64,
}

/// How a connection stands.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Gauges {
    /// How much round trip times differ from one to the next, smoothed, in seconds.
    pub jitter: f64,
    /// Packages that are neither acknowledged nor lost yet.
    pub in_flight: usize,
    /// Events that wait for a package.
    pub events_to_send: usize,
    /// Their bytes.
    pub bytes_to_send: usize,
    /// Events, fates of events and changes that nobody has taken yet.
    pub events_to_handle: usize,
}

impl Connection {
    /// How it stands.
    pub fn gauges(&self) -> Gauges {
        let (events_to_send, bytes_to_send) = self.outgoing.waiting();
        Gauges {
            jitter: self.jitter.seconds,
            in_flight: self.in_flight.len(),
            events_to_send,
            bytes_to_send,
            events_to_handle: self.happened.len(),
        }
    }
}

impl Stats {
    /// What was lost or dropped, under the name users know it by.
    pub fn troubles(&self) -> [(&'static str, u64); 8] {
        [
            ("lost", self.lost),
            ("duplicate", self.duplicate),
            ("late", self.late),
            ("malformed", self.malformed),
            ("implausible", self.implausible),
            ("queue_full", self.queue_full),
            ("over_rate", self.over_rate),
            ("events_out_of_order", self.events_out_of_order),
        ]
    }
}
