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
use super::nodeset::NodeSet;
use super::store::Store;
use super::tree::Revision;
use crate::wire::{Sqn, msgpack};

/// How far a label may be ahead of what the client has and still be newer.
const HOP: u16 = 32000;
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
    /// Whoever reports the label has everything up to here.
    cursor: Revision,
    /// What was sent under it; none if that was more than one thing.
    encoding: Option<Arc<Encoding>>,
}

/// An update that is repeated unchanged, and nothing else, until it was reported.
#[derive(Debug)]
struct Pinned {
    label: Sqn,
    encoding: Arc<Encoding>,
}

/// What a server knows of one client's copy of the state.
#[derive(Debug)]
pub struct View {
    kind: PeerKind,
    label: Sqn,
    cursor: Revision,
    /// What died before has never been sent.
    birth: Revision,
    issued: VecDeque<Issued>,
    pinned: Option<Pinned>,
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
            birth: store.tree().revision(),
            issued: VecDeque::new(),
            pinned: None,
            sent: NodeSet::default(),
            confirmed: NodeSet::default(),
        }
    }

    /// The same for a client that says it holds a state of that time order, which this server never sent: only
    /// what is newer than that will be accepted.
    pub fn starting_from(self, label: Sqn) -> Self {
        Self { label, ..self }
    }

    /// What the client does with deletions, as soon as that is known. Before the first update was written.
    pub fn set_kind(&mut self, kind: PeerKind) {
        self.kind = kind;
    }

    /// The time order the client last reported.
    pub fn label(&self) -> Sqn {
        self.label
    }

    /// Whether there is anything the client has not confirmed.
    pub fn is_behind(&self, store: &Store) -> bool {
        self.cursor < store.tree().revision()
    }

    /// This view needs no tombstones up to here.
    pub fn floor(&self) -> Revision {
        self.cursor.max(self.birth)
    }

    /// Takes the time order of the newest package of the client.
    pub fn report(&mut self, label: Sqn, store: &Store) {
        if label == self.label {
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
    /// needs more.
    pub fn write_update(&mut self, store: &mut Store, now: Duration, budget: usize, out: &mut Vec<u8>) {
        store.start(now);
        store.tick_idle(now);
        if let Some(Pinned { label, encoding }) = &self.pinned {
            if encoding.len() <= budget || encoding.entries == 1 {
                encoding.write(*label, out);
            } else {
                self.empty_update(out);
            }
            return;
        }
        if (!self.is_behind(store) && self.label == store.time_order()) || self.issued.len() >= MAX_ISSUED {
            self.empty_update(out);
            return;
        }
        let (encoding, exclusive) = self.next_encoding(store, budget.min(MAX_UPDATE));
        let Some(label) = self.next_label(store.time_order(), encoding.complete, exclusive) else {
            store.starve();
            self.empty_update(out);
            return;
        };
        encoding.write(label, out);
        self.issue(label, encoding, exclusive);
    }

    /// Appends an update that changes nothing, whatever the client has.
    pub fn empty_update(&self, out: &mut Vec<u8>) {
        msgpack::write_map_len(out, 1);
        msgpack::write_time_order_fixed(out, self.label);
    }

    fn start_afresh(&mut self, label: Sqn, store: &Store) {
        *self = Self { label, ..Self::new(store, self.kind) };
    }

    fn confirm(&mut self, index: usize) {
        let Some(issued) = self.issued.remove(index) else { return };
        self.label = issued.label;
        self.cursor = self.cursor.max(issued.cursor);
        self.issued.retain(|other| other.label.newer_than(issued.label));
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

    /// What to send next, and whether it must be sent alone until it is reported.
    fn next_encoding(&self, store: &mut Store, budget: usize) -> (Arc<Encoding>, bool) {
        let span = Span {
            after: self.cursor,
            until: Revision::MAX,
            graves_after: self.floor(),
            budget,
            hard_limit: MAX_UPDATE,
        };
        let encoding = store.encoding(span, true);
        if self.kind == PeerKind::Ours || encoding.dead.is_empty() {
            return (encoding, false);
        }
        let has = |ordinal: &u64| self.sent.contains(*ordinal);
        if !encoding.dead.iter().any(has) {
            let encoding = store.encoding(span, false);
            // Without the markers of others more fits, perhaps something this client has.
            if !encoding.dead.iter().any(has) {
                return (encoding, false);
            }
        } else if encoding.deleted.iter().all(has) {
            return (self.alive_once_more(&encoding).unwrap_or(encoding), true);
        }
        let encoding = store.own_encoding(span, &|ordinal| self.sent.contains(ordinal));
        let exclusive = encoding.dead.iter().any(has);
        (self.alive_once_more(&encoding).unwrap_or(encoding), exclusive)
    }

    /// What was sent but not confirmed may never have arrived; deleting it would make it a value. The last
    /// update that carried it goes out again until it is confirmed.
    fn alive_once_more(&self, deletion: &Encoding) -> Option<Arc<Encoding>> {
        let doubtful = deletion.deleted.iter().find(|&&ordinal| !self.confirmed.contains(ordinal))?;
        let carries = |encoding: &Arc<Encoding>| {
            encoding.upto >= self.cursor
                && encoding
                    .made
                    .iter()
                    .any(|&(word, bits)| word == doubtful / 64 && bits >> (doubtful % 64) & 1 == 1)
        };
        self.issued.iter().rev().filter_map(|issued| issued.encoding.as_ref()).find(|e| carries(e)).cloned()
    }

    /// The label of the next update, if there is room for one. `fresh`: newer than any in flight.
    fn next_label(&self, time_order: Sqn, complete: bool, fresh: bool) -> Option<Sqn> {
        if self.label == time_order {
            return None;
        }
        // The last label there is room for, and the one that would do.
        let last = if time_order.newer_than(self.label) { time_order } else { self.label.ahead(HOP) };
        let wanted = if complete { last } else { self.label.next() };
        if !fresh {
            return Some(wanted);
        }
        let newest = self
            .issued
            .iter()
            .map(|issued| issued.label)
            .max_by_key(|label| label.since(self.label))
            .unwrap_or(self.label);
        if wanted.newer_than(newest) {
            Some(wanted)
        } else {
            Some(newest.next()).filter(|next| !next.newer_than(last))
        }
    }

    fn issue(&mut self, label: Sqn, encoding: Arc<Encoding>, exclusive: bool) {
        if self.kind == PeerKind::Original {
            self.sent.insert_all(&encoding.made);
        }
        if exclusive {
            self.pinned = Some(Pinned { label, encoding: encoding.clone() });
        }
        match self.issued.iter_mut().find(|issued| issued.label == label) {
            Some(issued) => {
                issued.cursor = issued.cursor.min(encoding.upto);
                issued.encoding = issued.encoding.take().filter(|other| Arc::ptr_eq(other, &encoding));
            }
            None => {
                self.issued.push_back(Issued { label, cursor: encoding.upto, encoding: Some(encoding) });
            }
        }
    }
}
