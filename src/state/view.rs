//! What a server knows of one client's copy of the state, and what that client is sent next.
//!
//! Bytes come from `store`, where all views share them. Which label an update gets is chosen in `labels`, what is in
//! flight under one stands in `flight`, and `parts` finds what the client lacks.
//!
//! The label of an update is the time order the client takes over with it, so a label that comes back tells
//! what arrived. A client ignores what is not newer than its own; labels are chosen so that it never ignores
//! what it needs, however old it and the server are.

mod flight;
mod labels;
mod parts;

use std::collections::VecDeque;
use std::time::Duration;

use super::{MAX_UPDATE, nodeset::NodeSet, store::Store, tree::Revision};
use crate::{
    room::give_back,
    wire::{Sqn, limits::TIME_ORDER_KEY, msgpack},
};
use flight::{Issued, Pinned};
use labels::Moment;
use parts::{Next, Part};

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
}

/// An update under this label without anything in it.
fn write_empty(label: Sqn, part: bool, out: &mut Vec<u8>) {
    msgpack::write_map_len(out, 1);
    msgpack::write_str(out, TIME_ORDER_KEY);
    msgpack::write_label(out, label, part);
}
