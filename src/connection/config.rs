//! What a connection may be told, with PyGaSe's values as defaults.

use std::time::Duration;

use crate::wire::{
    Package, limits,
    msgpack::{self, Limits},
};

/// Timing and limits of one connection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config {
    /// A connection from which nothing has come for this long is disconnected.
    pub timeout: Duration,
    /// A package that has not been acknowledged for this long is lost.
    pub package_timeout: Duration,
    /// Time between packages while the quality is good.
    pub interval_good: Duration,
    /// Time between packages while the quality is bad.
    pub interval_bad: Duration,
    /// Smoothed round trip time in seconds above which the quality is bad.
    pub latency_threshold: f64,
    /// Shortest time in seconds to wait in bad quality before sending fast again.
    pub min_throttle_time: f64,
    /// Longest such time in seconds.
    pub max_throttle_time: f64,
    /// The size a whole datagram aims at, in bytes, at most 2048. Only what cannot be split goes beyond.
    pub package_size: usize,
    /// Largest package to send, in bytes; at most what a package may ever have.
    pub max_datagram: usize,
    /// How many events may wait in each direction.
    pub max_waiting_events: usize,
    /// How many bytes of events may wait in each direction.
    pub max_waiting_bytes: usize,
    /// How deeply an event that comes in may be nested, itself and the arrays of its arguments included.
    pub max_event_depth: usize,
    /// How many values an event that comes in may consist of, keys included.
    pub max_event_values: usize,
    /// Whether a peer of ours is to handle events in the order in which they were dispatched, as far as they arrive
    /// within a tenth of a second of each other.
    pub ordered_events: bool,
    /// Whether a package goes out early when an event was dispatched that was never sent; the mean rate stays. `None` is
    /// only to peers of ours.
    pub prompt_events: Option<bool>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(5),
            package_timeout: Duration::from_secs(1),
            interval_good: Duration::from_millis(25),
            interval_bad: Duration::from_millis(50),
            latency_threshold: 0.25,
            min_throttle_time: 1.0,
            max_throttle_time: 60.0,
            package_size: limits::TARGET_DATAGRAM,
            max_datagram: limits::MAX_DATAGRAM,
            max_waiting_events: 1024,
            max_waiting_bytes: 256 * 1024,
            max_event_depth: limits::MAX_DEPTH,
            max_event_values: limits::MAX_NODES,
            ordered_events: false,
            prompt_events: None,
        }
    }
}

impl Config {
    /// Whether the events of a checked package keep to the limits of depth and values.
    pub(crate) fn takes(&self, package: &Package<'_>) -> bool {
        let limits = Limits { depth: self.max_event_depth, nodes: self.max_event_values };
        limits == Limits::NETWORK || package.events().all(|event| msgpack::check(event, limits).is_ok())
    }

    /// Itself, with what `otherwise` says wherever it is as by default.
    #[must_use]
    pub fn or(self, otherwise: Self) -> Self {
        fn pick<T: PartialEq>(value: T, default: &T, otherwise: T) -> T {
            if value == *default { otherwise } else { value }
        }
        let default = Self::default();
        Self {
            timeout: pick(self.timeout, &default.timeout, otherwise.timeout),
            package_timeout: pick(self.package_timeout, &default.package_timeout, otherwise.package_timeout),
            interval_good: pick(self.interval_good, &default.interval_good, otherwise.interval_good),
            interval_bad: pick(self.interval_bad, &default.interval_bad, otherwise.interval_bad),
            latency_threshold: pick(
                self.latency_threshold,
                &default.latency_threshold,
                otherwise.latency_threshold,
            ),
            min_throttle_time: pick(
                self.min_throttle_time,
                &default.min_throttle_time,
                otherwise.min_throttle_time,
            ),
            max_throttle_time: pick(
                self.max_throttle_time,
                &default.max_throttle_time,
                otherwise.max_throttle_time,
            ),
            package_size: pick(self.package_size, &default.package_size, otherwise.package_size),
            max_datagram: pick(self.max_datagram, &default.max_datagram, otherwise.max_datagram),
            max_waiting_events: pick(
                self.max_waiting_events,
                &default.max_waiting_events,
                otherwise.max_waiting_events,
            ),
            max_waiting_bytes: pick(
                self.max_waiting_bytes,
                &default.max_waiting_bytes,
                otherwise.max_waiting_bytes,
            ),
            max_event_depth: pick(self.max_event_depth, &default.max_event_depth, otherwise.max_event_depth),
            max_event_values: pick(
                self.max_event_values,
                &default.max_event_values,
                otherwise.max_event_values,
            ),
            ordered_events: pick(self.ordered_events, &default.ordered_events, otherwise.ordered_events),
            prompt_events: pick(self.prompt_events, &default.prompt_events, otherwise.prompt_events),
        }
    }
}
