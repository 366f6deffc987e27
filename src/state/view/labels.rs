//! Under which label the next update goes out.
//!
//! A client ignores what is not newer than its own, and "newer" goes half way round: a label that is too far ahead is
//! old, and one that is far ahead makes what is still under way to the client newer again.

use std::time::Duration;

use super::{super::store::Store, Issued, Next, View};
use crate::wire::Sqn;

/// How far a label may be ahead of what the client has and still be newer.
const HOP: u16 = 32000;
/// What is this far ahead is the last that is newer.
const WINDOW: i32 = 32767;
/// A package may be overtaken by others sent this much later.
const STRAGGLE: Duration = Duration::from_millis(500);

/// A time in milliseconds, as far as it can be told from others near it: there is one for each package of half a second.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment(u32);

impl Moment {
    fn of(now: Duration) -> Self {
        Self(now.as_millis() as u32)
    }

    /// Whether more than [`STRAGGLE`] has passed since.
    pub(super) fn is_over(self, now: Duration) -> bool {
        u128::from(Self::of(now).0.wrapping_sub(self.0)) > STRAGGLE.as_millis()
    }
}

impl View {
    /// The label of the next update, if there is room for one. Never older than what is in flight: a client that
    /// has that already would ignore it, or take the older over it.
    pub(super) fn next_label(&self, now: Duration, store: &Store, next: &Next) -> Option<Sqn> {
        let time_order = store.time_order();
        // A part does not wait for a time order that hardly goes on: labels go past it, and come round again.
        let passes = next.fresh && !next.complete && !next.exclusive && store.is_still(now);
        if self.label == time_order && !passes {
            return None;
        }
        let hop = self.label.ahead(HOP);
        let ahead = time_order.newer_than(self.label) && (!passes || time_order.newer_than(hop));
        let reach = self.reach();
        let is_in_sight = |label: Sqn| label.since(self.label) <= i32::from(reach);
        let goal = if ahead { time_order } else { hop };
        let newest = self.newest_in_flight();
        let is_passed = newest.newer_than(goal);
        let last = if ahead && is_in_sight(goal) && !is_passed { goal } else { self.label.ahead(reach) };
        let first = if next.complete && is_in_sight(goal) { goal } else { self.label.next() };
        if first.newer_than(newest) {
            return Some(first).filter(|first| !first.newer_than(last));
        }
        // Each change has a label of its own, as far as they go: a client merges only one update of a label.
        let is_known = |issued: &Issued| issued.made_at == store.tree().revision() && !issued.is_part;
        if !next.fresh && self.issued.back().is_some_and(is_known) {
            return Some(newest);
        }
        let following = Some(newest.next()).filter(|label| !label.newer_than(last));
        following.or((!next.fresh && last == time_order).then_some(newest))
    }

    /// The newest label the client may have.
    pub(super) fn newest_in_flight(&self) -> Sqn {
        self.issued.back().map_or(self.label, |issued| issued.label)
    }

    /// How far ahead a label may be so that nothing the client has left behind is newer again: "newer" goes
    /// half way round, and a straggler that the label has lapped would be merged over what came after it.
    fn reach(&self) -> u16 {
        let behind = self.stragglers.front().map_or(0, |(_, label)| label.since(self.label)).min(0);
        u16::try_from(WINDOW + behind).unwrap_or(0)
    }

    pub(super) fn straggle(&mut self, label: Sqn, now: Duration) {
        while self.stragglers.back().is_some_and(|(_, last)| !label.newer_than(*last)) {
            self.stragglers.pop_back();
        }
        self.stragglers.push_back((Moment::of(now), label));
    }
}
