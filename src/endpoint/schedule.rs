//! When each connection sends next: a wheel of one millisecond slots with absolute deadlines.

use std::time::Duration;

/// Slots of the wheel; a deadline further away waits in its slot for another turn.
const SLOTS: usize = 256;

/// An entry of the wheel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    key: usize,
    deadline: u64,
}

/// Keys ordered by deadline, at the resolution of a millisecond.
#[derive(Debug)]
pub(super) struct Wheel {
    slots: Vec<Vec<Entry>>,
    /// Slots that were emptied, to be filled again elsewhere: few of all slots are filled at a time.
    spare: Vec<Vec<Entry>>,
    /// The first millisecond that has not been taken out yet.
    cursor: u64,
    waiting: usize,
}

impl Wheel {
    pub(super) fn new() -> Self {
        Self { slots: vec![Vec::new(); SLOTS], spare: Vec::new(), cursor: 0, waiting: 0 }
    }

    /// Puts `key` in at `deadline` (rounded up, and never into the past).
    pub(super) fn insert(&mut self, key: usize, deadline: Duration) {
        let deadline = millis_up(deadline).max(self.cursor);
        if let Some(slot) = self.slots.get_mut(slot_of(deadline)) {
            if slot.capacity() == 0 {
                *slot = self.spare.pop().unwrap_or_default();
            }
            slot.push(Entry { key, deadline });
            self.waiting += 1;
        }
    }

    /// The deadline within `interval` from `now` that shares its slot with the fewest others, so that
    /// packages of many connections do not bunch.
    pub(super) fn quietest(&self, now: Duration, interval: Duration) -> Duration {
        let first = millis_up(now).max(self.cursor) + 1;
        let last = first + (interval.as_millis() as u64).clamp(1, SLOTS as u64);
        let load = |at: &u64| self.slots.get(slot_of(*at)).map_or(0, Vec::len);
        Duration::from_millis((first..last).min_by_key(load).unwrap_or(first))
    }

    /// Takes out every key due by `now`, in order of deadline.
    pub(super) fn pop_due(&mut self, now: Duration, mut due: impl FnMut(usize)) {
        let end = now.as_millis() as u64 + 1;
        if self.waiting == 0 {
            self.cursor = self.cursor.max(end);
        }
        // After a long pause one turn of the wheel has visited every slot.
        let start = self.cursor.max(end.saturating_sub(SLOTS as u64));
        for at in start..end {
            let Some(slot) = self.slots.get_mut(slot_of(at)) else { continue };
            let before = slot.len();
            slot.retain(|entry| {
                let later = entry.deadline >= end;
                if !later {
                    due(entry.key);
                }
                later
            });
            self.waiting -= before - slot.len();
            if slot.is_empty() && slot.capacity() > 0 {
                self.spare.push(std::mem::take(slot));
            }
        }
        self.cursor = self.cursor.max(end);
    }

    /// The next moment [`Self::pop_due`] may find something; `None` when the wheel is empty.
    pub(super) fn next(&self) -> Option<Duration> {
        if self.waiting == 0 {
            return None;
        }
        let filled = |at: &u64| self.slots.get(slot_of(*at)).is_some_and(|slot| !slot.is_empty());
        (self.cursor..self.cursor + SLOTS as u64).find(filled).map(Duration::from_millis)
    }
}

const fn slot_of(at: u64) -> usize {
    at as usize % SLOTS
}

fn millis_up(at: Duration) -> u64 {
    at.as_nanos().div_ceil(1_000_000) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// The wheel gives out what a sorted list would, each key once and never early.
        #[test]
        fn equals_a_sorted_list(steps in proptest::collection::vec((0u64..700, 0u64..80), 1..200)) {
            let mut wheel = Wheel::new();
            let mut model: Vec<(u64, usize)> = Vec::new();
            let mut now = 0;
            for (key, (delay, advance)) in steps.into_iter().enumerate() {
                wheel.insert(key, Duration::from_millis(now + delay));
                // What is due in the millisecond just visited comes out with the next one.
                model.push(((now + delay).max(if key == 0 { 0 } else { now + 1 }), key));
                now += advance;
                let mut got = Vec::new();
                wheel.pop_due(Duration::from_millis(now), |key| got.push(key));
                let (mut due, later): (Vec<_>, Vec<_>) = model.into_iter().partition(|(at, _)| *at <= now);
                model = later;
                due.sort_unstable();
                let mut due: Vec<_> = due.into_iter().map(|(_, key)| key).collect();
                due.sort_unstable();
                got.sort_unstable();
                prop_assert_eq!(got, due);
                let next = wheel.next().map(|at| at.as_millis() as u64);
                prop_assert_eq!(next.is_none(), model.is_empty());
                if let (Some(next), Some((first, _))) = (next, model.iter().min()) {
                    prop_assert!(next <= *first);
                }
            }
        }
    }

    #[test]
    fn connections_spread_over_the_interval() {
        let mut wheel = Wheel::new();
        let interval = Duration::from_millis(25);
        for key in 0..50 {
            let at = wheel.quietest(Duration::ZERO, interval);
            wheel.insert(key, at);
        }
        assert_eq!(wheel.slots.iter().map(Vec::len).max(), Some(2));
    }
}
