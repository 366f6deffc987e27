//! What a connection may be told, with PyGaSe's values as defaults.

use std::time::Duration;

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
    /// Whether a peer of ours is to handle events in the order in which they were dispatched, as far as they arrive
    /// within a tenth of a second of each other.
    pub ordered_events: bool,
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
            package_size: crate::wire::limits::TARGET_DATAGRAM,
            max_datagram: crate::wire::limits::MAX_DATAGRAM,
            max_waiting_events: 1024,
            max_waiting_bytes: 256 * 1024,
            ordered_events: false,
        }
    }
}

impl Config {
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
            ordered_events: pick(self.ordered_events, &default.ordered_events, otherwise.ordered_events),
        }
    }
}
