//! Counters of one connection: everything that was dropped has one.

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
