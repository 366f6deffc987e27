//! Numbered events that came in: each is handed on once, and in order where the other side asks for it.
//!
//! The numbers of a session begin anywhere and go up by one. One that lies far from all before belongs to another
//! session: the other side was restarted.

use std::{collections::BTreeMap, time::Duration};

use crate::wire::EventNumber;

/// So many of the newest numbers are remembered; one further behind counts as seen.
const WINDOW: u32 = 4096;
/// A number further away than this is of another session. Sessions begin at multiples of it.
const SESSION: u32 = 1 << 16;
/// How long an event waits for those before it. With the time to the next look it stays under 100 ms.
const HOLD: Duration = Duration::from_millis(75);
/// How many events may wait for those before them.
const MAX_HELD: usize = 256;

/// What became of a numbered event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Taken {
    /// Handed on, or it waits for those before it.
    Yes,
    /// Handed on after some that should have come later.
    OutOfOrder,
    /// Dropped: it came before.
    Repeated,
}

/// Which numbers have come, and the events that wait for those before them.
#[derive(Debug)]
pub(crate) struct NumberedArrivals {
    /// The newest number, or the one before the first.
    newest: u32,
    /// A bit for each of the [`WINDOW`] newest numbers, at its remainder.
    seen: [u64; WINDOW as usize / 64],
    /// The number that is next in order.
    next: u32,
    /// With the moment at which they wait no longer.
    held: BTreeMap<u32, (Duration, Box<[u8]>)>,
}

impl NumberedArrivals {
    /// Before the first number, which `first` may be, or one of a few that come a little earlier.
    pub(super) fn new(first: u32) -> Self {
        let ahead = first % SESSION;
        // The very first may have been overtaken.
        let next = if (1..MAX_HELD as u32).contains(&ahead) { first - ahead + 1 } else { first };
        Self { newest: next.wrapping_sub(1), seen: [0; WINDOW as usize / 64], next, held: BTreeMap::new() }
    }

    /// Takes in an event; appends what is to be handed on now to `out`.
    pub(super) fn take(
        &mut self,
        now: Duration,
        number: EventNumber,
        event: Box<[u8]>,
        out: &mut Vec<Box<[u8]>>,
    ) -> Taken {
        let EventNumber { number, in_order } = number;
        let ahead = number.wrapping_sub(self.newest);
        let behind = self.newest.wrapping_sub(number);
        if ahead > SESSION && behind > SESSION {
            self.give_up_waiting(out);
            *self = Self::new(number);
            return self.take(now, EventNumber { number, in_order }, event, out);
        }
        if !self.note(number) {
            return Taken::Repeated;
        }
        if !in_order {
            out.push(event);
            return Taken::Yes;
        }
        let early = number.wrapping_sub(self.next);
        if early > u32::MAX / 2 {
            out.push(event);
            return Taken::OutOfOrder;
        }
        self.held.insert(number, (now + HOLD, event));
        self.advance(out);
        while self.held.len() > MAX_HELD {
            self.skip(out);
        }
        Taken::Yes
    }

    /// Appends to `out` what has waited for long enough by `now`.
    pub(super) fn expire(&mut self, now: Duration, out: &mut Vec<Box<[u8]>>) {
        while self.due().is_some_and(|due| due <= now) {
            self.skip(out);
        }
    }

    /// When [`Self::expire`] has something to do.
    pub(super) fn due(&self) -> Option<Duration> {
        self.held.values().map(|(due, _)| *due).min()
    }

    /// Appends to `out` everything that waits.
    pub(super) fn give_up_waiting(&mut self, out: &mut Vec<Box<[u8]>>) {
        while !self.held.is_empty() {
            self.skip(out);
        }
    }

    /// Goes on after a gap.
    fn skip(&mut self, out: &mut Vec<Box<[u8]>>) {
        // In wrap-around order: the first at or after the next.
        let first = self.held.range(self.next..).chain(self.held.iter()).next();
        if let Some((number, _)) = first {
            self.next = *number;
            self.advance(out);
        }
    }

    /// Appends to `out` what is in order now.
    fn advance(&mut self, out: &mut Vec<Box<[u8]>>) {
        while let Some((_, event)) = self.held.remove(&self.next) {
            out.push(event);
            self.next = self.next.wrapping_add(1);
        }
    }

    /// Takes note of a number of the session; says whether it had not come before.
    fn note(&mut self, number: u32) -> bool {
        let ahead = number.wrapping_sub(self.newest);
        if (1..=SESSION).contains(&ahead) {
            for skipped in 1..ahead.min(WINDOW) {
                self.mark(number.wrapping_sub(skipped), false);
            }
            self.newest = number;
            self.mark(number, true);
            return true;
        }
        self.newest.wrapping_sub(number) < WINDOW && !self.mark(number, true)
    }

    /// Sets whether a number in the window has been seen; says whether it had.
    fn mark(&mut self, number: u32, seen: bool) -> bool {
        let at = number % WINDOW;
        let Some(word) = self.seen.get_mut(at as usize / 64) else { return false };
        let bit = 1 << (at % 64);
        let had = *word & bit != 0;
        if seen {
            *word |= bit;
        } else {
            *word &= !bit;
        }
        had
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: Duration = Duration::from_millis(1);

    fn name(number: u32) -> Box<[u8]> {
        number.to_be_bytes().into()
    }

    /// Takes in numbers at their moments and gives those handed on, with the moment.
    fn handed_on(
        arrivals: &mut NumberedArrivals,
        numbers: &[(u32, Duration)],
        in_order: bool,
    ) -> Vec<(u32, Duration)> {
        let mut got = Vec::new();
        let mut out = Vec::new();
        for &(number, at) in numbers {
            arrivals.expire(at, &mut out);
            arrivals.take(at, EventNumber { number, in_order }, name(number), &mut out);
            got.extend(out.drain(..).map(|event| (u32::from_be_bytes(event[..].try_into().unwrap()), at)));
        }
        got
    }

    proptest! {
        /// Whatever comes twice, however reordered: once each; in order those that come within the hold time.
        #[test]
        fn each_number_once_and_in_order_within_the_hold_time(
            first in prop_oneof![Just(1_u32), Just(0x7fff_0001), Just(u32::MAX - 40)],
            delays in proptest::collection::vec(0_u64..60, 1..120),
            again in proptest::collection::vec((0_usize..120, 0_u64..2000), 0..80),
            in_order: bool,
        ) {
            let count = delays.len();
            let sent = |index: usize| index as u64 * 10;
            let mut arrivals: Vec<_> = delays.iter().enumerate().map(|(index, delay)| (index, sent(index) + delay)).collect();
            // The first is not overtaken: where the numbers of a session begin is told by its number alone.
            arrivals[0].1 = 0;
            arrivals.extend(again.into_iter().filter(|(index, _)| *index < count).map(|(index, delay)| (index, sent(index) + 60 + delay)));
            arrivals.sort_by_key(|(_, at)| *at);
            let numbers: Vec<_> = arrivals.iter().map(|&(index, at)| (first.wrapping_add(index as u32), MS * at as u32)).collect();
            let mut machine = NumberedArrivals::new(first);
            let mut got: Vec<_> = handed_on(&mut machine, &numbers, in_order).into_iter().map(|(number, _)| number.wrapping_sub(first)).collect();
            let mut rest = Vec::new();
            machine.give_up_waiting(&mut rest);
            prop_assert!(rest.is_empty(), "everything came, so nothing waits");
            if !in_order {
                got.sort_unstable();
            }
            prop_assert_eq!(got, (0..count as u32).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_gap_is_waited_for_and_then_gone_past() {
        let mut arrivals = NumberedArrivals::new(1);
        let mut out = Vec::new();
        let mut take = |number: u32, at: Duration, out: &mut Vec<_>| {
            out.clear();
            arrivals.expire(at, out);
            arrivals.take(at, EventNumber { number, in_order: true }, name(number), out)
        };
        assert_eq!((take(1, MS, &mut out), out.len()), (Taken::Yes, 1));
        assert_eq!((take(3, MS * 2, &mut out), out.len()), (Taken::Yes, 0), "waits for 2");
        assert_eq!((take(5, MS * 50, &mut out), out.len()), (Taken::Yes, 0), "waits for 2 and 4");
        assert_eq!((take(6, MS * 77, &mut out), out.len()), (Taken::Yes, 1), "3 has waited for long enough");
        assert_eq!((take(2, MS * 78, &mut out), out.len()), (Taken::OutOfOrder, 1));
        assert_eq!((take(4, MS * 79, &mut out), out.len()), (Taken::Yes, 3), "4, 5, 6");
        assert_eq!((take(4, MS * 80, &mut out), out.len()), (Taken::Repeated, 0));
        assert_eq!(arrivals.due(), None);
    }

    #[test]
    fn the_first_of_a_session_may_be_overtaken() {
        for base in [0, 7 << 16] {
            let numbers = [(base + 3, MS), (base + 1, MS * 2), (base + 2, MS * 3)];
            let got = handed_on(&mut NumberedArrivals::new(base + 3), &numbers, true);
            assert_eq!(got.iter().map(|(number, _)| number - base).collect::<Vec<_>>(), [1, 2, 3]);
        }
    }

    #[test]
    fn another_session_begins_anew_and_nothing_that_waited_is_lost() {
        let mut arrivals = NumberedArrivals::new(1);
        let (far, at) = (9 << 16 | 1, MS);
        let got = handed_on(&mut arrivals, &[(1, at), (3, at), (far, at), (far, at), (far + 1, at)], true);
        assert_eq!(got.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [1, 3, far, far + 1]);
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut arrivals = NumberedArrivals::new(1);
        let numbers: Vec<_> = (2..2000).map(|number| (number, MS)).collect();
        let got = handed_on(&mut arrivals, &numbers, true);
        assert!(got.len() >= 2000 - 2 - MAX_HELD, "{}", got.len());
    }

    #[test]
    fn one_too_old_to_tell_counts_as_seen() {
        let mut arrivals = NumberedArrivals::new(1);
        let numbers = [(1, MS), (WINDOW + 5, MS), (4, MS), (6, MS)];
        let got = handed_on(&mut arrivals, &numbers, false);
        assert_eq!(got.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [1, WINDOW + 5, 6]);
    }
}
