//! What a server knows of one client's copy of the state, and what that client is sent next.
//!
//! Owns labels: under which time order an update goes out, and what a report of it means. Bytes come from
//! `store`, where all views share them.
//!
//! The label of an update is the time order the client takes over with it, so a label that comes back tells
//! what arrived. A client ignores what is not newer than its own; labels are chosen so that it never ignores
//! what it needs, however old it and the server are.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::MAX_UPDATE;
use super::delta::{Encoding, Span};
use super::nodeset::NodeSet;
use super::store::Store;
use super::tree::Revision;
use crate::wire::{Sqn, limits::TIME_ORDER_KEY, msgpack};

/// How far a label may be ahead of what the client has and still be newer.
const HOP: u16 = 32000;
/// What is this far ahead is the last that is newer.
const WINDOW: i32 = 32767;
/// A package may be overtaken by others sent this much later.
const STRAGGLE: Duration = Duration::from_millis(250);
/// The most labels in flight: a client that reports nothing gets no more than that.
const MAX_ISSUED: usize = 512;

/// What a client does with deletions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PeerKind {
    /// Unmodified PyGaSe: a deletion of a key it does not have becomes a value, so each reaches it once.
    Original,
    /// This project's: a deletion of a missing key does nothing.
    Ours,
}

/// A label in flight.
#[derive(Debug)]
struct Issued {
    label: Sqn,
    /// Whoever reports the label has everything within these revisions,
    part: Part,
    /// as it was when the tree had come to this one.
    made_at: Revision,
    /// Grows with each label.
    serial: u64,
    /// What was sent under it; none if that was more than one thing.
    encoding: Option<Arc<Encoding>>,
    /// With it the client has not everything.
    is_part: bool,
    first_sent: Duration,
    last_sent: Duration,
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
    /// Labels that may still be under way, and when they were last sent.
    stragglers: VecDeque<(Duration, Sqn)>,
    /// What an original may have,
    sent: NodeSet,
    /// and what it surely has.
    confirmed: NodeSet,
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
            confirmed: NodeSet::default(),
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

    /// What the client does with deletions, as soon as that is known. Before the first update was written.
    pub fn set_kind(&mut self, kind: PeerKind) {
        self.kind = kind;
        self.marks |= kind == PeerKind::Ours;
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
        self.has_more = false;
        if let Some(Pinned { label, encoding }) = &self.pinned {
            if encoding.len() <= budget || encoding.entries == 1 {
                encoding.write(*label, self.marks && self.pinned_is_part(), out);
                let label = *label;
                self.sent_again(label, now);
            } else {
                self.empty_update(out);
            }
            return None;
        }
        let time_order = store.time_order();
        if !self.is_behind(store) && self.label == time_order {
            self.empty_update(out);
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
            return self.issue(now, label, next, store.tree().revision());
        }
        match self.newest_in_flight().since(self.label).cmp(&time_order.since(self.label).max(0)) {
            // The time order will not get past what is in flight: the client has to get there first.
            Ordering::Greater => return self.repeat_newest(now, budget, out),
            Ordering::Equal => {
                store.starve();
                self.empty_update(out);
            }
            // There will be room when nothing is under way any more.
            Ordering::Less => self.empty_update(out),
        }
        None
    }

    /// Takes note that an update was merged by a client of ours: it acknowledged the package, which it does
    /// only then.
    pub fn arrived(&mut self, number: u64) {
        let Some(issued) = self.issued.iter().find(|issued| issued.serial == number) else { return };
        if self.kind == PeerKind::Ours && issued.encoding.is_some() {
            let part = Part { upto: issued.part.upto.min(self.certain(issued)), ..issued.part };
            self.confirm_part(part);
        }
    }

    /// Appends an update that changes nothing, whatever the client has.
    pub fn empty_update(&self, out: &mut Vec<u8>) {
        write_empty(self.label, false, out);
    }

    /// Writes the newest update in flight once more; where that is not to be had, nothing under its label.
    fn repeat_newest(&mut self, now: Duration, budget: usize, out: &mut Vec<u8>) -> Option<u64> {
        let (base, marks) = (self.label, self.marks);
        let newest = self.issued.iter_mut().max_by_key(|issued| issued.label.since(base));
        let Some(Issued { label, part, encoding, is_part, serial, .. }) = newest else {
            self.empty_update(out);
            return None;
        };
        let mut number = None;
        if let Some(encoding) = encoding.as_ref().filter(|encoding| encoding.len() <= budget) {
            encoding.write(*label, marks && *is_part, out);
            number = Some(*serial);
        } else {
            part.upto = part.after;
            *encoding = None;
            *is_part = true;
            write_empty(*label, marks, out);
        }
        let label = *label;
        self.sent_again(label, now);
        number
    }

    fn pinned_is_part(&self) -> bool {
        let label = self.pinned.as_ref().map(|pinned| pinned.label);
        self.issued.iter().any(|issued| Some(issued.label) == label && issued.is_part)
    }

    fn start_afresh(&mut self, label: Sqn, store: &Store) {
        // Numbers go on, so that what arrives late is not taken for something else.
        let (serials, marks) = (self.serials, self.marks);
        *self = Self { label, serials, marks, ..Self::new(store, self.kind) };
    }

    fn confirm(&mut self, index: usize) {
        let Some(issued) = self.issued.remove(index) else { return };
        self.label = issued.label;
        self.told_whole |= !issued.is_part;
        self.issued.retain(|other| {
            let overtaken = issued.first_sent.saturating_sub(other.last_sent) > STRAGGLE;
            other.label.newer_than(issued.label) && !overtaken
        });
        self.confirm_part(Part { upto: issued.part.upto.min(self.certain(&issued)), ..issued.part });
        if self.kind == PeerKind::Ours {
            return;
        }
        if let Some(encoding) = issued.encoding {
            self.confirmed.insert_all(&encoding.made);
        }
        let overtaken = self.pinned.take_if(|pinned| !pinned.label.newer_than(issued.label));
        if let Some(pinned) = overtaken.filter(|pinned| pinned.label == issued.label) {
            for &ordinal in &pinned.encoding.dead {
                self.sent.remove(ordinal);
                self.confirmed.remove(ordinal);
            }
        }
    }

    /// Up to where a label that has arrived is certain. What is under a newer label may have been made earlier
    /// and arrive later. It would put older values over those that arrived, so nothing is certain beyond what
    /// there was then.
    fn certain(&self, issued: &Issued) -> Revision {
        let threatens =
            |other: &&Issued| other.serial < issued.serial && other.label.newer_than(issued.label);
        let made_at = self.issued.iter().filter(threatens).map(|other| other.made_at).min();
        made_at.unwrap_or(Revision::MAX)
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
        let (encoding, exclusive) = self.encode(store, all, budget);
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
            let (encoding, exclusive) = self.encode(store, gap, budget);
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

    /// The update of a part, and whether it must be sent alone until it is reported.
    fn encode(&self, store: &mut Store, part: Part, budget: usize) -> (Arc<Encoding>, bool) {
        let span = Span {
            after: part.after,
            until: part.upto,
            graves_after: part.after.max(self.birth),
            budget,
            hard_limit: MAX_UPDATE,
        };
        let encoding = store.encoding(span, true);
        if self.kind == PeerKind::Ours || encoding.dead.is_empty() {
            return (encoding, false);
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
        // What was sent but not confirmed may never have arrived, and deleting it would make it a value: it
        // goes out as it was once more, until it surely is there.
        let doubtful = encoding.deleted.iter().filter(|(ordinal, _)| !self.confirmed.contains(*ordinal));
        let doubtful: Vec<_> = doubtful.map(|&(_, id)| id).collect();
        if !doubtful.is_empty() {
            return (store.last_encoding(&doubtful, span), true);
        }
        let exclusive = has_any(&encoding);
        (encoding, exclusive)
    }

    /// The label of the next update, if there is room for one.
    fn next_label(&self, now: Duration, store: &Store, next: &Next) -> Option<Sqn> {
        let time_order = store.time_order();
        // A part does not wait for a time order that hardly goes on: labels go past it, and come round again.
        let passes = next.fresh && !next.complete && !next.exclusive && store.is_still(now);
        if self.label == time_order && !passes {
            return None;
        }
        // The last label there is room for, and the one that would do.
        let hop = self.label.ahead(HOP);
        let ahead = time_order.newer_than(self.label) && (!passes || time_order.newer_than(hop));
        let last = if ahead { time_order } else { hop };
        let reach = self.reach(now);
        let last = if last.since(self.label) > i32::from(reach) { self.label.ahead(reach) } else { last };
        if !last.newer_than(self.label) {
            return None;
        }
        let wanted = if next.complete { last } else { self.label.next() };
        if !next.fresh {
            return Some(wanted);
        }
        let newest = self.newest_in_flight();
        if wanted.newer_than(newest) {
            Some(wanted)
        } else {
            Some(newest.next()).filter(|next| !next.newer_than(last))
        }
    }

    /// The newest label the client may have.
    fn newest_in_flight(&self) -> Sqn {
        let labels = self.issued.iter().map(|issued| issued.label);
        labels.max_by_key(|label| label.since(self.label)).unwrap_or(self.label)
    }

    /// How far ahead a label may be so that nothing the client has left behind is newer again: "newer" goes
    /// half way round, and a straggler that the label has lapped would be merged over what came after it.
    fn reach(&self, now: Duration) -> u16 {
        let under_way = self.stragglers.iter().filter(|(sent, _)| now.saturating_sub(*sent) <= STRAGGLE);
        let behind = under_way.map(|(_, label)| label.since(self.label)).min().unwrap_or(0).min(0);
        u16::try_from(WINDOW + behind).unwrap_or(0)
    }

    fn sent_again(&mut self, label: Sqn, now: Duration) {
        if let Some(issued) = self.issued.iter_mut().find(|issued| issued.label == label) {
            issued.last_sent = now;
        }
        self.straggle(label, now);
    }

    fn straggle(&mut self, label: Sqn, now: Duration) {
        while self.stragglers.front().is_some_and(|(sent, _)| now.saturating_sub(*sent) > STRAGGLE) {
            self.stragglers.pop_front();
        }
        match self.stragglers.back_mut() {
            Some((sent, last)) if *last == label => *sent = now,
            _ => self.stragglers.push_back((now, label)),
        }
    }

    fn issue(&mut self, now: Duration, label: Sqn, next: Next, made_at: Revision) -> Option<u64> {
        let Next { after, exclusive, encoding, complete, .. } = next;
        if self.kind == PeerKind::Original {
            self.sent.insert_all(&encoding.made);
        }
        if exclusive {
            self.pinned = Some(Pinned { label, encoding: encoding.clone() });
        }
        let part = Part { after, upto: encoding.upto };
        if let Some(issued) = self.issued.iter_mut().find(|issued| issued.label == label) {
            issued.last_sent = now;
            issued.made_at = issued.made_at.min(made_at);
            issued.part.after = issued.part.after.max(part.after);
            issued.part.upto = issued.part.upto.min(part.upto);
            issued.encoding = issued.encoding.take().filter(|other| Arc::ptr_eq(other, &encoding));
            issued.is_part |= !complete;
            return issued.encoding.is_some().then_some(issued.serial);
        }
        self.serials += 1;
        self.issued.push_back(Issued {
            label,
            part,
            made_at,
            serial: self.serials,
            encoding: Some(encoding),
            is_part: !complete,
            first_sent: now,
            last_sent: now,
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
