//! A client's copy of the state, filled by the packet path and drained by the game.
//!
//! Owns when an update counts and what the game has not seen yet.

use super::delta::{Encoder, Span};
use super::tree::{Revision, Tree};
use crate::wire::msgpack;
use crate::wire::{Sqn, WireError};

/// A replica nobody pulls from keeps at most this many tombstones more than living nodes.
const SPARE_TOMBSTONES: usize = 1024;

/// A client's copy of the state.
#[derive(Debug)]
pub struct Replica {
    tree: Tree,
    encoder: Encoder,
    time_order: Sqn,
    /// Asked to be filled anew: what is there stays until this is whole.
    filling: Option<Filling>,
    /// How far the game is.
    game: Cursor,
    /// How far whoever keeps whole states is, if anybody does.
    snapshots: Option<Cursor>,
}

/// How far a reader of a [`Replica`] is.
#[derive(Clone, Copy, Debug, Default)]
struct Cursor {
    /// It has seen everything up to here,
    pulled: Revision,
    /// and this time order.
    time_order: Sqn,
    /// It must forget what it has seen.
    fresh: bool,
}

impl Cursor {
    const AFRESH: Self = Self { pulled: Revision::ZERO, time_order: Sqn::ZERO, fresh: true };

    /// Lets the next pull bring everything.
    fn start_afresh(&mut self) {
        self.pulled = Revision::ZERO;
        self.fresh = true;
    }
}

/// What is to take the place of what a replica holds.
#[derive(Debug)]
struct Filling {
    tree: Tree,
    time_order: Sqn,
}

/// What changed in a [`Replica`] since the last time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pulled {
    /// Whether what was pulled before is void.
    pub fresh: bool,
    /// The time order the replica is at.
    pub time_order: Sqn,
    /// The changes as one msgpack map of any size, without a time order.
    pub update: Vec<u8>,
}

impl Default for Replica {
    fn default() -> Self {
        Self::new()
    }
}

impl Replica {
    /// A replica that holds nothing yet.
    pub fn new() -> Self {
        Self {
            tree: Tree::unlimited(),
            encoder: Encoder::default(),
            time_order: Sqn::ZERO,
            filling: None,
            game: Cursor::default(),
            snapshots: None,
        }
    }

    /// Merges an update if its time order is newer than what the replica holds; says whether it was.
    ///
    /// One that is being filled anew takes the place of the old when it is whole. A replica that holds nothing
    /// takes any: an original server that has run for long labels its first
    /// update with a number that is not newer than 0 in wrap-around order.
    pub fn apply(&mut self, update: &[u8]) -> Result<bool, WireError> {
        let (time_order, is_part) = msgpack::update_label(update)?;
        let newer = match self.time_order() {
            Sqn::ZERO => time_order != Sqn::ZERO,
            held => time_order.newer_than(held),
        };
        if !newer {
            return Ok(false);
        }
        if let Some(filling) = &mut self.filling {
            filling.tree.merge_checked(update)?;
            filling.time_order = time_order;
            if !is_part {
                self.swap();
            }
            return Ok(true);
        }
        self.tree.merge_checked(update)?;
        self.time_order = time_order;
        if self.tree.tombstones() > self.tree.len() + SPARE_TOMBSTONES {
            self.relieve();
        }
        Ok(true)
    }

    /// The server has nothing more: what was filled takes the place of what was there.
    fn swap(&mut self) {
        if let Some(Filling { mut tree, time_order }) = self.filling.take() {
            tree.forget(tree.revision());
            self.tree = tree;
            self.time_order = time_order;
            self.start_afresh();
        }
    }

    /// What to report to the server; 0 while everything is asked for and nothing has come.
    pub fn time_order(&self) -> Sqn {
        self.filling.as_ref().map_or(self.time_order, |filling| filling.time_order)
    }

    /// Asks for everything again, from time order 0. What is there stays until the new state is whole: a server
    /// of ours marks what is only a part of it, an original has nothing more after its first update.
    ///
    /// From here on [`apply`](Self::apply) must be given the updates of those packages alone that acknowledge
    /// one sent after this. The server made all others for the copy as it was: they hold what had changed
    /// then and nothing else, and their labels may coincide with those of the answer.
    pub fn resync(&mut self) {
        if self.filling.is_some() || self.time_order != Sqn::ZERO {
            self.filling = Some(Filling { tree: Tree::unlimited(), time_order: Sqn::ZERO });
        }
    }

    /// What it holds.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Whether everything was asked for and is not whole yet.
    pub fn is_resyncing(&self) -> bool {
        self.filling.is_some()
    }

    /// Whether an update comes too late: one that was made after it was merged already.
    pub fn has_overtaken(&self, update: &[u8]) -> bool {
        msgpack::update_label(update).is_ok_and(|(time_order, _)| self.time_order().newer_than(time_order))
    }

    /// What changed since the last time, if anything did.
    pub fn pull(&mut self) -> Option<Pulled> {
        let mut game = self.game;
        let pulled = self.pull_by(&mut game);
        self.game = game;
        self.forget_seen();
        pulled
    }

    /// The same for a second reader, who keeps whole states; it begins with everything there is.
    pub fn pull_snapshot(&mut self) -> Option<Pulled> {
        let mut cursor = self.snapshots.unwrap_or(Cursor::AFRESH);
        let pulled = self.pull_by(&mut cursor);
        self.snapshots = Some(cursor);
        self.forget_seen();
        pulled
    }

    /// Forgets the tombstones that every reader has seen. One that begins, or begins again, needs none.
    fn forget_seen(&mut self) {
        let readers = [Some(self.game.pulled), self.snapshots.map(|snapshots| snapshots.pulled)];
        let seen = readers.into_iter().flatten().filter(|pulled| *pulled != Revision::ZERO).min();
        self.tree.forget(seen.unwrap_or(self.tree.revision()));
    }

    /// Makes room when there are too many tombstones: whoever has looked longest ago begins again.
    fn relieve(&mut self) {
        if let Some(snapshots) = &mut self.snapshots {
            let late = if self.game.pulled < snapshots.pulled { &mut self.game } else { snapshots };
            late.start_afresh();
            self.forget_seen();
        }
        if self.tree.tombstones() > self.tree.len() + SPARE_TOMBSTONES {
            self.start_afresh();
            self.forget_seen();
        }
    }

    fn start_afresh(&mut self) {
        self.game.start_afresh();
        self.snapshots.iter_mut().for_each(Cursor::start_afresh);
    }

    fn pull_by(&mut self, cursor: &mut Cursor) -> Option<Pulled> {
        if cursor.time_order == self.time_order && !cursor.fresh {
            return None;
        }
        let span = Span {
            after: cursor.pulled,
            until: Revision::MAX,
            graves_after: if cursor.fresh { Revision::MAX } else { cursor.pulled },
            budget: usize::MAX,
            hard_limit: usize::MAX,
        };
        let changes = self.encoder.encode(&self.tree, span, &|_| true, false);
        let update = changes.bytes().to_vec();
        let fresh = std::mem::take(&mut cursor.fresh);
        cursor.pulled = self.tree.revision();
        cursor.time_order = self.time_order;
        Some(Pulled { fresh, time_order: self.time_order, update })
    }
}
