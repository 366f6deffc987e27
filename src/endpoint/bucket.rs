//! A rate that may be saved up for a second and no longer.

use std::time::Duration;

/// What may still be taken: it fills up in a second.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    left: f64,
    at: Duration,
}

impl Default for Bucket {
    /// A full one, whatever it may hold.
    fn default() -> Self {
        Self { left: f64::INFINITY, at: Duration::ZERO }
    }
}

impl Bucket {
    /// Takes `amount` out of what comes in at `rate` a second, if it is there. An amount that could never be there
    /// takes all.
    pub(crate) fn take(&mut self, now: Duration, amount: u32, rate: u32) -> bool {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        let rate = f64::from(rate);
        self.left = (self.left + passed * rate).min(rate);
        self.at = now;
        let amount = f64::from(amount).min(rate);
        let is_there = self.left >= amount;
        if is_there {
            self.left -= amount;
        }
        is_there
    }

    /// Whether it is full again.
    pub(super) fn is_full(&self, now: Duration) -> bool {
        now.saturating_sub(self.at) >= Duration::from_secs(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_may_be_saved_up_and_no_more() {
        let mut bucket = Bucket::default();
        let mut taken = |ms: u64, amount: u32| {
            (0..1000).filter(|_| bucket.take(Duration::from_millis(ms), amount, 100)).count()
        };
        assert_eq!(taken(5_000, 1), 100);
        assert_eq!(taken(5_100, 1), 10);
        assert_eq!(taken(60_000, 1), 100);
        assert_eq!(taken(60_100, 20), 0);
        assert_eq!(taken(60_200, 20), 1);
        assert_eq!(taken(90_000, 500), 1, "more than can be saved up takes all there is");
    }
}
