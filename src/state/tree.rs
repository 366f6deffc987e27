//! The state as a tree: nodes in a slab, and all that carries a revision in one list ordered by revision.
//!
//! Owns what is alive, what is dead and since when. Knows nothing of updates as bytes (`merge` puts them in,
//! `delta` takes them out) and nothing of who has seen what.
//!
//! A node is a leaf, a map or dead. Leaves, empty maps and dead nodes (tombstones) hang in the list; a map
//! with something alive in it does not, its leaves speak for it. A node that dies keeps its place in its parent
//! and dies after its children, so a tombstone is always newer than those beneath it. What lies beneath an
//! overwritten map stays as tombstones too: a map that comes back smaller still knows what is missing.

mod changing;
mod node;

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

use super::delta::{Encoder, Span};
pub use node::Revision;
pub(super) use node::{Last, NodeId, ROOT, Value};
use node::{NIL, Node};

/// So many ends of ticks are known at most: a minute of a fast game.
const MAX_TICKS: usize = 4096;

/// A game state as leaves with revisions.
#[derive(Debug)]
pub struct Tree {
    nodes: Vec<Node>,
    free: Vec<NodeId>,
    /// What carries a revision, oldest first.
    list: BTreeMap<Revision, NodeId>,
    revision: Revision,
    ordinals: u64,
    stamps: u64,
    alive: usize,
    /// Bytes of the keys and leaves that are alive.
    size: usize,
    /// Tombstones in order of death; those that were revived since are skipped when their turn comes.
    graves: VecDeque<(Revision, NodeId)>,
    newest_grave: Revision,
    /// Where ticks ended.
    ticks: VecDeque<Revision>,
    limit: usize,
    visited: Cell<u64>,
}

impl Default for Tree {
    fn default() -> Self {
        Self::new()
    }
}

impl Tree {
    /// An empty tree whose leaves all fit a package.
    pub fn new() -> Self {
        Self::with_limit(crate::wire::limits::MAX_DATAGRAM)
    }

    /// An empty tree that takes leaves of any size.
    pub(super) fn unlimited() -> Self {
        Self::with_limit(usize::MAX)
    }

    fn with_limit(limit: usize) -> Self {
        Self {
            nodes: vec![Node::new(0, NIL, &[], Value::Map)],
            free: Vec::new(),
            list: BTreeMap::new(),
            ticks: VecDeque::new(),
            revision: Revision::ZERO,
            ordinals: 0,
            stamps: 0,
            alive: 0,
            size: 0,
            graves: VecDeque::new(),
            newest_grave: Revision::ZERO,
            limit,
            visited: Cell::new(0),
        }
    }

    /// The newest revision given to anything.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// How many leaves (tombstones included) have been walked over, to merge them and to find out what changed.
    pub fn visited(&self) -> u64 {
        self.visited.get()
    }

    /// How many nodes are alive, maps included.
    pub fn len(&self) -> usize {
        self.alive
    }

    /// Whether nothing is in the state.
    pub fn is_empty(&self) -> bool {
        self.alive == 0
    }

    /// How many bytes the keys and values that are alive have, msgpacked.
    pub fn size(&self) -> usize {
        self.size
    }

    /// How many tombstones are kept.
    pub fn tombstones(&self) -> usize {
        self.nodes.len() - 1 - self.free.len() - self.alive
    }

    /// The whole state as one msgpack map, without a time order.
    pub fn to_msgpack(&self) -> Vec<u8> {
        let all = Span {
            after: Revision::ZERO,
            until: Revision::MAX,
            graves_after: Revision::MAX,
            budget: usize::MAX,
            hard_limit: usize::MAX,
        };
        Encoder::default().encode(self, all, &|_| false, false).bytes().to_vec()
    }

    /// The largest package one leaf may need.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// The revision of the tombstone that came last.
    pub(super) fn newest_grave(&self) -> Revision {
        self.newest_grave
    }

    pub(super) fn slots(&self) -> usize {
        self.nodes.len()
    }

    #[expect(clippy::indexing_slicing, reason = "ids come from this slab alone")]
    pub(super) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id as usize]
    }

    #[expect(clippy::indexing_slicing, reason = "ids come from this slab alone")]
    fn node_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.nodes[id as usize]
    }

    /// What is in the list and newer than `after` but not newer than `until`, oldest first.
    pub(super) fn written(
        &self,
        after: Revision,
        until: Revision,
    ) -> impl Iterator<Item = (Revision, NodeId)> + '_ {
        let none = after >= until;
        let range = if none {
            (Bound::Unbounded, Bound::Excluded(Revision::ZERO))
        } else {
            (Bound::Excluded(after), Bound::Included(until))
        };
        self.list.range(range).map(|(&revision, &id)| (revision, id))
    }

    /// A tick of the game ends here.
    pub(super) fn end_tick(&mut self) {
        if self.ticks.back().is_none_or(|&last| last < self.revision) {
            if self.ticks.len() >= MAX_TICKS {
                self.ticks.pop_front();
            }
            self.ticks.push_back(self.revision);
        }
    }

    /// The last end of a tick in what is newer than `after` but not newer than `until`.
    pub(super) fn last_tick(&self, after: Revision, until: Revision) -> Option<Revision> {
        let index = self.ticks.partition_point(|&tick| tick <= until).checked_sub(1)?;
        self.ticks.get(index).copied().filter(|&tick| tick > after)
    }

    pub(super) fn count_visit(&self) {
        self.visited.set(self.visited.get() + 1);
    }

    pub(super) fn child(&self, parent: NodeId, canonical_key: &[u8]) -> Option<NodeId> {
        self.node(parent).children.get(canonical_key).copied()
    }

    /// The node that decides what a client must be sent so that the dead `id` is gone there: the topmost dead
    /// one above it, or the leaf that took the place of a map above it.
    pub(super) fn topmost(&self, id: NodeId) -> NodeId {
        let (mut top, mut at) = (id, id);
        while at != ROOT {
            let node = self.node(at);
            if node.value != Value::Map {
                top = at;
            }
            at = node.parent;
        }
        top
    }

    pub(super) fn new_stamp(&mut self) -> u64 {
        self.stamps += 1;
        self.stamps
    }

    pub(super) fn stamp(&mut self, id: NodeId, stamp: u64) {
        self.node_mut(id).stamp = stamp;
    }

    pub(super) fn is_alive(&self, id: NodeId) -> bool {
        !self.node(id).value.is_dead()
    }

    /// The leaves (and empty maps) that the dead `id` was made of when it died, itself if it was one.
    pub(super) fn died_with(&self, id: NodeId, into: &mut Vec<NodeId>) {
        let before = into.len();
        if let Value::Dead(Last::Map(since)) = self.node(id).value {
            for child in self.children(id).filter(|&child| self.node(child).revision >= since) {
                self.died_with(child, into);
            }
        }
        if into.len() == before {
            into.push(id);
        }
    }

    /// The ordinals of the dead `id` and all beneath it; of a leaf, of all beneath it.
    pub(super) fn dead_beneath(&self, id: NodeId, into: &mut Vec<u64>) {
        if !self.is_alive(id) {
            into.push(self.node(id).ordinal);
        }
        for child in self.children(id) {
            self.dead_beneath(child, into);
        }
    }

    /// How many bytes a living leaf has; 0 for anything else.
    fn leaf_size(&self, id: NodeId) -> usize {
        match &self.node(id).value {
            Value::Leaf(bytes) => bytes.len(),
            Value::Map | Value::Dead(_) => 0,
        }
    }

    fn children(&self, id: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        self.node(id).children.values().copied()
    }
}
