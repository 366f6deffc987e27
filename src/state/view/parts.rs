//! What a client lacks, and the update that brings it the next part of that.

use std::sync::Arc;

use super::{
    super::{
        MAX_UPDATE,
        delta::{Encoding, Span},
        store::Store,
        tree::Revision,
    },
    PeerKind, View,
};

/// What is newer than the first revision, and not newer than the second.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Part {
    pub(super) after: Revision,
    pub(super) upto: Revision,
}

/// An update to be sent.
pub(super) struct Next {
    pub(super) encoding: Arc<Encoding>,
    /// It has what is newer than this.
    pub(super) after: Revision,
    /// With it the client has everything.
    pub(super) complete: bool,
    /// Its label must be newer than any in flight,
    pub(super) fresh: bool,
    /// and nothing else may go out until it was reported.
    pub(super) exclusive: bool,
}

impl View {
    pub(super) fn confirm_part(&mut self, part: Part) {
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
    pub(super) fn next(&mut self, store: &mut Store, budget: usize) -> Option<Next> {
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
}
