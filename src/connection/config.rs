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
    /// How many events may wait in each direction.
    pub max_waiting_events: usize,
    /// How many bytes of events may wait in each direction.
    pub max_waiting_bytes: usize,
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
            max_waiting_events: 1024,
            max_waiting_bytes: 256 * 1024,
        }
    }
}
