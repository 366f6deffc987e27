//! Round trip times: how much they differ, and those of packages that count as lost because the answer came late.

use std::{collections::VecDeque, time::Duration};

use super::acks::acknowledges;
use crate::{
    room::give_back,
    wire::{Header, Sqn},
};

/// Share of a new round trip time in the smoothed one.
const LATENCY_GAIN: f64 = 0.1;
/// Share of a new difference in the jitter, as RTP has it.
const JITTER_GAIN: f64 = 1.0 / 16.0;
/// How long after it was sent a package may still be acknowledged, long before its number comes again.
const MEMORY: Duration = Duration::from_secs(10);
/// Of how many packages that is known.
const MAX_REMEMBERED: usize = 256;

/// The smoothed round trip time after a new one, in seconds.
pub(super) fn smoothed(latency: f64, round_trip: f64) -> f64 {
    latency + LATENCY_GAIN * (round_trip - latency)
}

/// How much round trip times differ from one to the next.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Jitter {
    /// Smoothed, in seconds.
    pub(super) seconds: f64,
    last: Option<Duration>,
}

impl Jitter {
    pub(super) fn note(&mut self, round_trip: Duration) {
        if let Some(last) = self.last.replace(round_trip) {
            self.seconds += JITTER_GAIN * (round_trip.abs_diff(last).as_secs_f64() - self.seconds);
        }
    }
}

/// When packages were sent that count as lost: one that is acknowledged after all tells how slow the line is.
#[derive(Debug, Default)]
pub(super) struct Overdue(VecDeque<(Sqn, Duration)>);

impl Overdue {
    /// Remembers a package that was sent at `at`.
    pub(super) fn push(&mut self, sequence: Sqn, at: Duration) {
        if self.0.len() >= MAX_REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back((sequence, at));
    }

    /// Forgets those whose number may come again.
    pub(super) fn expire(&mut self, now: Duration) {
        while self.0.front().is_some_and(|(_, at)| now.saturating_sub(*at) > MEMORY) {
            self.0.pop_front();
        }
        give_back(&mut self.0);
    }

    /// Takes out what `header` acknowledges; gives the round trip times.
    pub(super) fn acknowledge(&mut self, now: Duration, header: Header, mut found: impl FnMut(Duration)) {
        self.expire(now);
        if header.ack == Sqn::ZERO {
            return;
        }
        self.0.retain(|(sequence, at)| {
            let is_acknowledged = acknowledges(header, *sequence);
            if is_acknowledged {
                found(now.saturating_sub(*at));
            }
            !is_acknowledged
        });
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_is_that_of_neighbours() {
        let mut jitter = Jitter::default();
        for turn in 0..200_u64 {
            jitter.note(Duration::from_millis(100 + turn % 2 * 20));
        }
        assert!((jitter.seconds - 0.02).abs() < 0.001, "{jitter:?}");
    }

    #[test]
    fn what_is_overdue_is_known_for_a_while_and_once() {
        let mut overdue = Overdue::default();
        for number in 1..=1000_u16 {
            overdue.push(Sqn::new(number), Duration::from_millis(u64::from(number)));
        }
        let header = Header { sequence: Sqn::new(1), ack: Sqn::new(1000), ack_bitfield: 1 << 31 };
        let mut at = |now: Duration| {
            let mut found = Vec::new();
            overdue.acknowledge(now, header, |round_trip| found.push(round_trip.as_millis()));
            (found, overdue.0.len())
        };
        let second = Duration::from_secs(1);
        assert_eq!(at(second * 3), (vec![2001, 2000], MAX_REMEMBERED - 2));
        assert!(at(second * 3).0.is_empty());
        assert_eq!(at(second * 12), (vec![], 0));
    }
}
