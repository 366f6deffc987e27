//! When the next package of a connection goes out: on a grid, and ahead of it where a fresh event waits.

use std::{sync::Arc, time::Duration};

use crate::bell::Bell;

/// The part of an interval by which those after a package that went early are longer.
const REPAYMENT: u32 = 4;

/// A grid of turns, of which some come early.
///
/// One that does is followed by longer intervals until the grid is reached again, and none comes more than an interval
/// ahead of it: no stretch of time has more than one package more than without, and the places on the grid, where many
/// connections keep out of each other's way, stay theirs.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    /// When the next package goes out.
    pub(super) turn: Duration,
    /// By how much that is ahead of the grid.
    ahead: Duration,
}

impl Pace {
    /// A grid that begins with a turn at `turn`.
    pub(super) fn from(turn: Duration) -> Self {
        Self { turn, ahead: Duration::ZERO }
    }

    /// Brings the turn forward to the earliest moment not before `now`; says whether there is an earlier one.
    pub(super) fn hasten(&mut self, now: Duration, interval: Duration) -> bool {
        let earliest = (self.turn + self.ahead).saturating_sub(interval).max(now);
        let gained = self.turn.saturating_sub(earliest);
        self.turn -= gained;
        self.ahead += gained;
        !gained.is_zero()
    }

    /// Goes on to the next turn. The interval holds on average, however late a turn comes.
    pub(super) fn advance(&mut self, now: Duration, interval: Duration) {
        let next = self.turn + interval;
        self.ahead = self.ahead.min(interval);
        if next > now {
            let repaid = self.ahead.min(interval / REPAYMENT);
            self.turn = next + repaid;
            self.ahead -= repaid;
        } else {
            self.turn = now + interval;
            self.ahead = self.ahead.saturating_sub(now.saturating_sub(next));
        }
    }
}

/// By which a connection rings the bell of its driver when it has a fresh event, once for each package.
#[derive(Debug, Default)]
pub(super) struct BellPull {
    bell: Option<Arc<Bell>>,
    key: usize,
    pulled: bool,
}

impl BellPull {
    /// One that rings `bell` for `key`.
    pub(super) fn of(bell: &Arc<Bell>, key: usize) -> Self {
        Self { bell: Some(Arc::clone(bell)), key, pulled: false }
    }

    /// Rings, unless it has since the last package.
    pub(super) fn pull(&mut self) {
        if let Some(bell) = self.bell.as_ref().filter(|_| !self.pulled) {
            self.pulled = true;
            bell.ring(self.key);
        }
    }

    /// Takes note that a package went out.
    pub(super) fn let_go(&mut self) {
        self.pulled = false;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const INTERVAL: Duration = Duration::from_millis(25);

    #[test]
    fn without_haste_it_is_a_grid() {
        let mut pace = Pace::from(MS * 100);
        for (now, next) in [(100, 125), (130, 150), (174, 175), (200, 225), (225, 250)] {
            pace.advance(MS * now, INTERVAL);
            assert_eq!((pace.turn, pace.ahead), (MS * next, Duration::ZERO));
        }
    }

    #[test]
    fn an_early_turn_is_paid_by_longer_intervals() {
        let mut pace = Pace::from(MS * 100);
        pace.advance(MS * 100, INTERVAL);
        assert!(pace.hasten(MS * 105, INTERVAL));
        assert_eq!(pace.turn, MS * 105);
        let mut turns = Vec::new();
        for _ in 0..6 {
            pace.advance(pace.turn, INTERVAL);
            turns.push(pace.turn.as_micros());
        }
        assert_eq!(turns, [136_250, 167_500, 198_750, 225_000, 250_000, 275_000]);
    }

    #[test]
    fn an_interval_that_has_become_shorter_forgives_what_it_cannot_have_gained() {
        let mut pace = Pace::from(Duration::ZERO);
        pace.advance(Duration::ZERO, MS * 200);
        assert!(pace.hasten(MS, MS * 200));
        pace.advance(MS, INTERVAL);
        assert_eq!(pace.ahead, INTERVAL / 4 * 3);
    }

    proptest! {
        /// Whatever is fresh when, and however late turns come: between any two packages there are as many others as
        /// on a grid, and one more at most; and where nothing is fresh any more the grid comes back.
        #[test]
        fn the_mean_rate_holds(steps in proptest::collection::vec((any::<bool>(), 0u64..40_000, 0u64..4000), 1..300)) {
            let mut pace = Pace::from(Duration::ZERO);
            let (mut now, mut sent) = (Duration::ZERO, Vec::new());
            for (fresh, later, late) in steps {
                now += Duration::from_micros(later);
                while pace.turn <= now {
                    let at = (pace.turn + Duration::from_micros(late)).min(now);
                    sent.push(at.max(sent.last().copied().unwrap_or_default()));
                    pace.advance(at, INTERVAL);
                }
                if fresh {
                    pace.hasten(now, INTERVAL);
                }
                prop_assert!(pace.ahead <= INTERVAL);
            }
            for (first, from) in sent.iter().enumerate() {
                for (more, to) in sent.iter().skip(first + 1).enumerate() {
                    // As many intervals lie between them, but for one, and for how late the first was.
                    let least = (INTERVAL * more as u32).saturating_sub(MS * 4);
                    prop_assert!(to.abs_diff(*from) >= least, "{more} packages between {from:?} and {to:?}");
                }
            }
            for _ in 0..5 {
                pace.advance(pace.turn, INTERVAL);
            }
            prop_assert_eq!(pace.ahead, Duration::ZERO);
        }
    }
}
