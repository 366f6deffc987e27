//! What is in flight, and what a report of its label means.

use std::sync::Arc;

use super::{
    super::{delta::Encoding, nodeset, tree::Revision},
    Next, Part, PeerKind, View,
};
use crate::{room::give_back, wire::Sqn};

/// A label in flight. Of two, the one that was issued later is the newer.
#[derive(Debug)]
pub(super) struct Issued {
    pub(super) label: Sqn,
    /// Whoever reports the label has everything within these revisions.
    pub(super) part: Part,
    /// What the tree had come to.
    pub(super) made_at: Revision,
    /// Grows with each label.
    pub(super) serial: u64,
    /// What was sent under it; none if that was more than one thing.
    pub(super) encoding: Option<Arc<Encoding>>,
    /// With it the client has not everything.
    pub(super) is_part: bool,
}

impl Issued {
    /// Lets the label stand for nothing: whoever reports it is sent again what was sent under it.
    pub(super) fn forget_encoding(&mut self) {
        self.part.upto = self.part.after;
        self.encoding = None;
        self.is_part = true;
    }
}

/// An update that is repeated unchanged, and nothing else, until it was reported.
#[derive(Debug)]
pub(super) struct Pinned {
    pub(super) label: Sqn,
    pub(super) encoding: Arc<Encoding>,
}

impl View {
    pub(super) fn confirm(&mut self, index: usize) {
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

    pub(super) fn issue(&mut self, label: Sqn, next: Next, made_at: Revision) -> Option<u64> {
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
