//! What a server knows of one client's copy of the state, and what that client is sent next.
//!
//! Owns labels: under which time order an update goes out, and what a report of it means. Bytes come from
//! `store`, where all views share them.
//!
//! The label of an update is the time order the client takes over with it, so a label that comes back tells
//! what arrived. A client ignores what is not newer than its own; labels are chosen so that it never ignores
//! what it needs, however old it and the server are.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::MAX_UPDATE;
use super::delta::{Encoding, Span};
use super::nodeset::{self, NodeSet};
use super::store::Store;
use super::tree::Revision;
use crate::{
    room::give_back,
    wire::{Sqn, limits::TIME_ORDER_KEY, msgpack},
};

/// How far a label may be ahead of what the client has and still be newer.
const HOP: u16 = 32000;
/// What is this far ahead is the last that is newer.
const WINDOW: i32 = 32767;
/// A package may be overtaken by others sent this much later.
const STRAGGLE: Duration = Duration::from_millis(500);
/// The most labels in flight: a client that reports nothing gets no more than that.
const MAX_ISSUED: usize = 512;

/// A time in milliseconds, as far as it can be told from others near it: there is one for each package of half a second.
#[derive(Clone, Copy, Debug)]
struct Moment(u32);

impl Moment {
    fn of(now: Duration) -> Self {
        Self(now.as_millis() as u32)
    }

    /// Whether more than [`STRAGGLE`] has passed since.
    fn is_over(self, now: Duration) -> bool {
        u128::from(Self::of(now).0.wrapping_sub(self.0)) > STRAGGLE.as_millis()
    }
}

/// What a client does with deletions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PeerKind {
    /// Unmodified PyGaSe: a deletion of a key it does not have becomes a value, so each reaches it once.
    Original,
    /// This project's: a deletion of a missing key does nothing.
    Ours,
}

/// A label in flight. Of two, the one that was issued later is the newer.
#[derive(Debug)]
struct Issued {
    label: Sqn,
    /// Whoever reports the label has everything within these revisions.
    part: Part,
    /// What the tree had come to.
    made_at: Revision,
    /// Grows with each label.
    serial: u64,
    /// What was sent under it; none if that was more than one thing.
    encoding: Option<Arc<Encoding>>,
    /// With it the client has not everything.
    is_part: bool,
}

impl Issued {
    /// Lets the label stand for nothing: whoever reports it is sent again what was sent under it.
    fn forget_encoding(&mut self) {
        self.part.upto = self.part.after;
        self.encoding = None;
        self.is_part = true;
    }
}

/// What is newer than the first revision, and not newer than the second.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Part {
    after: Revision,
    upto: Revision,
}

/// An update that is repeated unchanged, and nothing else, until it was reported.
#[derive(Debug)]
struct Pinned {
    label: Sqn,
    encoding: Arc<Encoding>,
}

/// An update to be sent.
struct Next {
    encoding: Arc<Encoding>,
    /// It has what is newer than this.
    after: Revision,
    /// With it the client has everything.
    complete: bool,
    /// Its label must be newer than any in flight,
    fresh: bool,
    /// and nothing else may go out until it was reported.
    exclusive: bool,
}

/// What a server knows of one client's copy of the state.
#[derive(Debug)]
pub struct View {
    kind: PeerKind,
    label: Sqn,
    /// The client has everything up to here,
    cursor: Revision,
    /// and these parts beyond it.
    parts: Vec<Part>,
    /// What died before has never been sent.
    birth: Revision,
    issued: VecDeque<Issued>,
    serials: u64,
    pinned: Option<Pinned>,
    /// There was more to send than the last package could take.
    has_more: bool,
    /// The client may be one of ours that could not say so: it is told what is a part.
    marks: bool,
    /// The client has merged something that was no part.
    told_whole: bool,
    /// Labels that may still be under way, and when they were last sent: the oldest, and of what was sent after
    /// each the oldest again.
    stragglers: VecDeque<(Moment, Sqn)>,
    /// What an original may have,
    sent: NodeSet,
    /// and what of it may have got lost.
    doubtful: NodeSet,
}

impl View {
    /// A view of a client that has nothing.
    pub fn new(store: &Store, kind: PeerKind) -> Self {
        Self {
            kind,
            label: Sqn::ZERO,
            cursor: Revision::ZERO,
            parts: Vec::new(),
            birth: store.tree().revision(),
            issued: VecDeque::new(),
            serials: 0,
            pinned: None,
            has_more: false,
            marks: kind == PeerKind::Ours,
            told_whole: false,
            stragglers: VecDeque::new(),
            sent: NodeSet::default(),
            doubtful: NodeSet::default(),
        }
    }

    /// The same for a client that says it holds a state of that time order, which this server never sent: only
    /// what is newer than that will be accepted.
    pub fn starting_from(self, label: Sqn) -> Self {
        Self { label, ..self }
    }

    /// The same for a client that held a session with an earlier server. It may be one of ours, which it could
    /// not say again, and gets its parts marked; an original sees no difference.
    pub fn returning(self) -> Self {
        Self { marks: true, ..self }
    }

    /// Whether the last package was full and there is more that was never sent: the next one may follow at once.
    pub fn has_more(&self) -> bool {
        self.has_more
    }

    /// The time order the client last reported.
    pub fn label(&self) -> Sqn {
        self.label
    }

    /// Whether there is anything the client has not confirmed. One that is told what is a part also has to
    /// hear when it has the whole.
    pub fn is_behind(&self, store: &Store) -> bool {
        self.cursor < store.tree().revision() || self.marks && !self.told_whole
    }

    /// This view needs no tombstones up to here.
    pub fn floor(&self) -> Revision {
        self.cursor.max(self.birth)
    }

    /// Takes the time order of the newest package of the client.
    pub fn report(&mut self, label: Sqn, store: &Store) {
        // Whoever merged something has no longer nothing: it was asked to forget.
        let forgot = label == Sqn::ZERO && (self.cursor > Revision::ZERO || !self.parts.is_empty());
        if label == self.label && !forgot {
            return;
        }
        let issued = self.issued.iter().position(|issued| issued.label == label);
        match issued {
            Some(index) if label.newer_than(self.label) => self.confirm(index),
            // The client's own count never goes back, and only its newest package reports: what is believed of
            // it is wrong. It was asked to forget, or it speaks of another server, or somebody spoke in its name.
            _ => self.start_afresh(label, store),
        }
    }

    /// Appends the update the client is to be sent next: at most `budget` bytes, but for a single leaf that
    /// needs more. Gives the number by which [`arrived`](Self::arrived) knows it, if it has one.
    pub fn write_update(
        &mut self,
        store: &mut Store,
        now: Duration,
        budget: usize,
        out: &mut Vec<u8>,
    ) -> Option<u64> {
        store.start(now);
        store.tick_idle(now);
        while self.stragglers.front().is_some_and(|(sent, _)| sent.is_over(now)) {
            self.stragglers.pop_front();
        }
        give_back(&mut self.stragglers);
        if self.serials == 0 {
            // What it was answered before it had proven its address.
            self.straggle(self.label, now);
        }
        self.has_more = false;
        if let Some(Pinned { label, encoding }) = &self.pinned {
            if encoding.len() <= budget || encoding.entries == 1 {
                encoding.write(*label, self.marks && self.pinned_is_part(), out);
                self.straggle(*label, now);
            } else {
                self.empty_update(now, out);
            }
            return None;
        }
        let time_order = store.time_order();
        if !self.is_behind(store) && self.label == time_order {
            self.empty_update(now, out);
            return None;
        }
        if self.issued.len() >= MAX_ISSUED {
            return self.repeat_newest(now, budget, out);
        }
        let Some(next) = self.next(store, budget.min(MAX_UPDATE)) else {
            return self.repeat_newest(now, budget, out);
        };
        if let Some(label) = self.next_label(now, store, &next) {
            next.encoding.write(label, self.marks && !next.complete, out);
            self.has_more = !next.complete && !next.exclusive;
            self.straggle(label, now);
            return self.issue(label, next, store.tree().revision());
        }
        if self.newest_in_flight() == time_order {
            store.starve();
            self.empty_update(now, out);
            return None;
        }
        // The client has to get to what is in flight first, or what is under way to it has to be gone.
        self.repeat_newest(now, budget, out)
    }

    /// Takes note that an update was merged by a client of ours: it acknowledged the package, which it does
    /// only then.
    pub fn arrived(&mut self, number: u64) {
        let Some(issued) = self.issued.iter().find(|issued| issued.serial == number) else { return };
        if self.kind == PeerKind::Ours && issued.encoding.is_some() {
            self.confirm_part(issued.part);
        }
    }

    /// The client has gone silent, perhaps for good: keeps no updates for it but what it still may report.
    pub fn rest(&mut self) {
        let pinned = self.pinned.as_ref().map(|pinned| pinned.label);
        let others = self.issued.iter_mut().filter(|issued| Some(issued.label) != pinned);
        others.for_each(Issued::forget_encoding);
        self.issued.shrink_to_fit();
    }

    /// Appends an update that changes nothing, whatever the client has.
    pub fn empty_update(&mut self, now: Duration, out: &mut Vec<u8>) {
        write_empty(self.label, false, out);
        self.straggle(self.label, now);
    }

    /// Writes the newest update in flight once more; where that is not to be had, nothing under its label.
    fn repeat_newest(&mut self, now: Duration, budget: usize, out: &mut Vec<u8>) -> Option<u64> {
        let marks = self.marks;
        let Some(newest) = self.issued.back_mut() else {
            self.empty_update(now, out);
            return None;
        };
        let mut number = None;
        let label = newest.label;
        if let Some(encoding) = newest.encoding.as_ref().filter(|encoding| encoding.len() <= budget) {
            encoding.write(label, marks && newest.is_part, out);
            number = Some(newest.serial);
        } else {
            newest.forget_encoding();
            write_empty(label, marks, out);
        }
        self.straggle(label, now);
        number
    }

    fn pinned_is_part(&self) -> bool {
        let label = self.pinned.as_ref().map(|pinned| pinned.label);
        self.issued.iter().any(|issued| Some(issued.label) == label && issued.is_part)
    }

    fn start_afresh(&mut self, label: Sqn, store: &Store) {
        // Numbers go on, so that what arrives late is not taken for something else.
        let (serials, marks, stragglers) = (self.serials, self.marks, std::mem::take(&mut self.stragglers));
        *self = Self { label, serials, marks, stragglers, ..Self::new(store, self.kind) };
    }

    fn confirm(&mut self, index: usize) {
        let Some(issued) = self.issued.remove(index) else { return };
        self.label = issued.label;
        self.told_whole |= !issued.is_part;
        self.issued.retain(|other| other.label.newer_than(issued.label));
        give_back(&mut self.issued);
        self.confirm_part(issued.part);
        if self.kind == PeerKind::Ours {
            return;
        }
        if let Some(encoding) = issued.encoding {
            encoding.made.iter().for_each(|&word| self.doubtful.remove(word));
        }
        let overtaken = self.pinned.take_if(|pinned| !pinned.label.newer_than(issued.label));
        if let Some(pinned) = overtaken.filter(|pinned| pinned.label == issued.label) {
            for word in pinned.encoding.dead.iter().map(|&ordinal| nodeset::word_of(ordinal)) {
                self.sent.remove(word);
                self.doubtful.remove(word);
            }
        }
    }

    fn confirm_part(&mut self, part: Part) {
        self.parts.push(part);
        self.parts.sort_unstable();
        for part in &self.parts {
            if part.after <= self.cursor {
                self.cursor = self.cursor.max(part.upto);
            }
        }
        self.parts.retain(|part| part.upto > self.cursor && part.after < part.upto);
    }

    /// What to send next; nothing if all of it is in flight.
    fn next(&mut self, store: &mut Store, budget: usize) -> Option<Next> {
        let all = Part { after: self.cursor, upto: Revision::MAX };
        let (encoding, exclusive) = self.encode(store, all, budget)?;
        if encoding.complete || exclusive {
            return Some(Next {
                after: all.after,
                complete: encoding.complete,
                fresh: exclusive,
                exclusive,
                encoding,
            });
        }
        // More than one package: one after the other, each with what is not in flight yet.
        loop {
            let gap = self.first_gap();
            let (encoding, exclusive) = self.encode(store, gap, budget)?;
            if encoding.entries > 0 || exclusive {
                return Some(Next { after: gap.after, complete: false, fresh: true, exclusive, encoding });
            }
            if gap.upto == Revision::MAX {
                return None;
            }
            self.confirm_part(gap);
        }
    }

    /// The oldest part that is neither confirmed nor in flight.
    fn first_gap(&self) -> Part {
        let mut covered: Vec<_> = self.parts.clone();
        covered.extend(self.issued.iter().map(|issued| issued.part));
        covered.sort_unstable();
        let mut after = self.cursor;
        for part in covered {
            if part.after > after {
                return Part { after, upto: part.after };
            }
            after = after.max(part.upto);
        }
        Part { after, upto: Revision::MAX }
    }

    /// The update of a part, and whether it must be sent alone until it is reported; nothing if what is in flight
    /// has to arrive first.
    fn encode(&self, store: &mut Store, part: Part, budget: usize) -> Option<(Arc<Encoding>, bool)> {
        let span = Span {
            after: part.after,
            until: part.upto,
            graves_after: part.after.max(self.birth),
            budget,
            hard_limit: MAX_UPDATE,
        };
        let encoding = store.encoding(span, true);
        if self.kind == PeerKind::Ours || encoding.dead.is_empty() {
            return Some((encoding, false));
        }
        let has = |ordinal: u64| self.sent.contains(ordinal);
        let has_any = |encoding: &Encoding| encoding.dead.iter().any(|&ordinal| has(ordinal));
        let encoding = if encoding.deleted.iter().all(|&(ordinal, _)| has(ordinal)) {
            encoding
        } else if has_any(&encoding) {
            store.own_encoding(span, &has)
        } else {
            let without = store.encoding(span, false);
            // Without the markers of others more fits, perhaps something this client has.
            if has_any(&without) { store.own_encoding(span, &has) } else { without }
        };
        // What was sent but not confirmed may never have arrived, and deleting it would make it a value. It waits
        // for what is in flight; where that has it no more, it goes out as it was once more.
        let doubtful = encoding.deleted.iter().filter(|(ordinal, _)| self.doubtful.contains(*ordinal));
        let doubtful: Vec<_> = doubtful.copied().collect();
        if doubtful.is_empty() {
            let exclusive = has_any(&encoding);
            return Some((encoding, exclusive));
        }
        let newest = self.issued.back().and_then(|issued| issued.encoding.as_ref());
        if newest.is_some_and(|newest| doubtful.iter().all(|&(ordinal, _)| newest.makes(ordinal))) {
            return None;
        }
        let doubtful: Vec<_> = doubtful.into_iter().map(|(_, id)| id).collect();
        Some((store.last_encoding(&doubtful, span), true))
    }

    /// The label of the next update, if there is room for one. Never older than what is in flight: a client that
    /// has that already would ignore it, or take the older over it.
    fn next_label(&self, now: Duration, store: &Store, next: &Next) -> Option<Sqn> {
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
    fn newest_in_flight(&self) -> Sqn {
        self.issued.back().map_or(self.label, |issued| issued.label)
    }

    /// How far ahead a label may be so that nothing the client has left behind is newer again: "newer" goes
    /// half way round, and a straggler that the label has lapped would be merged over what came after it.
    fn reach(&self) -> u16 {
        let behind = self.stragglers.front().map_or(0, |(_, label)| label.since(self.label)).min(0);
        u16::try_from(WINDOW + behind).unwrap_or(0)
    }

    fn straggle(&mut self, label: Sqn, now: Duration) {
        while self.stragglers.back().is_some_and(|(_, last)| !label.newer_than(*last)) {
            self.stragglers.pop_back();
        }
        self.stragglers.push_back((Moment::of(now), label));
    }

    fn issue(&mut self, label: Sqn, next: Next, made_at: Revision) -> Option<u64> {
        let Next { after, exclusive, encoding, complete, .. } = next;
        if self.kind == PeerKind::Original {
            for &word in &encoding.made {
                self.doubtful.insert(self.sent.insert(word));
            }
        }
        if exclusive {
            self.pinned = Some(Pinned { label, encoding: encoding.clone() });
        }
        let part = Part { after, upto: encoding.upto };
        if let Some(issued) = self.issued.back_mut().filter(|issued| issued.label == label) {
            if issued.made_at == made_at && issued.encoding.is_some() && complete && !issued.is_part {
                // The same, or what is left of it: whoever has either of the two has this.
                issued.part = part;
                issued.encoding = Some(encoding);
                return Some(issued.serial);
            }
            issued.made_at = made_at;
            issued.part.after = issued.part.after.max(part.after);
            issued.part.upto = issued.part.upto.min(part.upto);
            issued.encoding = issued.encoding.take().filter(|other| Arc::ptr_eq(other, &encoding));
            issued.is_part |= !complete;
            return issued.encoding.is_some().then_some(issued.serial);
        }
        debug_assert!(label.newer_than(self.newest_in_flight()), "labels only go up");
        self.serials += 1;
        self.issued.push_back(Issued {
            label,
            part,
            made_at,
            serial: self.serials,
            encoding: Some(encoding),
            is_part: !complete,
        });
        Some(self.serials)
    }
}

/// An update under this label without anything in it.
fn write_empty(label: Sqn, part: bool, out: &mut Vec<u8>) {
    msgpack::write_map_len(out, 1);
    msgpack::write_str(out, TIME_ORDER_KEY);
    msgpack::write_label(out, label, part);
}
