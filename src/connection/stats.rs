//! Counters of one connection: everything that was dropped has one. Gauges: how it stands.

use super::Connection;

crate::counters::counters! {
    /// What a connection has done so far.
    Stats {
        /// Packages sent.
        sent: traffic,
        /// Packages accepted.
        received: traffic,
        /// Bytes sent.
        bytes_sent: traffic,
        /// Bytes received, dropped datagrams included.
        bytes_received: traffic,
        /// Packages brought forward because of an event that was never sent.
        sent_early: traffic,
        /// Own packages the other side acknowledged.
        acknowledged: traffic,
        /// Own packages that were not acknowledged within the package timeout.
        lost: dropped,
        /// Those of them that were acknowledged after all.
        acknowledged_late: traffic,
        /// Packages dropped because their number had come before.
        duplicate: dropped,
        /// Packages dropped because they were more than 32 behind the newest.
        late: dropped,
        /// Datagrams dropped because they were not packages.
        malformed: dropped,
        /// Well-formed packages dropped because they acknowledge what was never sent.
        implausible: dropped,
        /// Packages or events refused because a queue was full.
        queue_full: dropped,
        /// Packages dropped because more came than the rate of packages or event bytes allows.
        over_rate: dropped,
        /// Events received.
        events_received: traffic,
        /// Events sent, each time they were.
        events_sent: traffic,
        /// Events dropped because they had come before, in another package.
        events_repeated: dropped,
        /// Events dropped because they look like those by which two peers of ours speak, from one that is none or
        /// does not say such.
        events_reserved: dropped,
        /// Events handed on after some that were dispatched later, because they came too late to be waited for.
        events_out_of_order: dropped,
    }
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
