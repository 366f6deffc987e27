//! How fast to send: PyGaSe's two quality states with their hold-off times.
//!
//! Follows the two mode congestion avoidance of G. Fiedler's "Reliability and Congestion Avoidance over UDP".

use super::Config;

/// Whether the round trip time is below the latency threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Quality {
    /// Below the threshold.
    #[default]
    Good,
    /// Above it.
    Bad,
}

impl Quality {
    /// PyGaSe's word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Bad => "bad",
        }
    }
}

/// The throttling state machine. All times are seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Congestion {
    /// Present quality.
    pub quality: Quality,
    /// Whether the short package interval is in force.
    pub fast: bool,
    /// How long quality must have been good before sending fast.
    pub throttle_time: f64,
    /// When quality last changed.
    pub last_quality_change: f64,
    /// When the present stretch of good quality began or was last rewarded.
    pub last_good_quality_milestone: f64,
    /// Seconds between packages as somebody set them by hand, until the next change of speed.
    pub set_interval: Option<f64>,
}

impl Congestion {
    /// Good quality, sending fast, since `t`.
    pub fn new(config: &Config, t: f64) -> Self {
        Self {
            quality: Quality::Good,
            fast: true,
            throttle_time: config.min_throttle_time,
            last_quality_change: t,
            last_good_quality_milestone: t,
            set_interval: None,
        }
    }

    /// Looks at the smoothed round trip time `latency` at time `t`. Due every half `min_throttle_time`.
    pub fn step(&mut self, config: &Config, t: f64, latency: f64) {
        match self.quality {
            Quality::Good if latency > config.latency_threshold => {
                self.quality = Quality::Bad;
                (self.fast, self.set_interval) = (false, None);
                if t - self.last_quality_change < self.throttle_time {
                    self.throttle_time = (self.throttle_time * 2.0).min(config.max_throttle_time);
                }
                self.last_quality_change = t;
            }
            Quality::Good if t - self.last_good_quality_milestone > self.throttle_time => {
                (self.fast, self.set_interval) = (true, None);
                self.throttle_time = (self.throttle_time / 2.0).max(config.min_throttle_time);
                self.last_good_quality_milestone = t;
            }
            Quality::Bad if latency < config.latency_threshold => {
                self.quality = Quality::Good;
                self.last_quality_change = t;
                self.last_good_quality_milestone = t;
            }
            Quality::Good | Quality::Bad => {}
        }
    }
}
