//! The state as a tree: nodes in a slab, and all that carries a revision in one list ordered by revision.
//!
//! Owns what is alive, what is dead and since when. Knows nothing of updates as bytes (`merge` puts them in,
//! `delta` takes them out) and nothing of who has seen what.
//!
//! A node is a leaf, a map or dead. Leaves, empty maps and dead nodes (tombstones) hang in the list; a map
//! with something alive in it does not, its leaves speak for it. A node that dies keeps its place in its parent
//! and dies after its children, so a tombstone is always newer than those beneath it. What lies beneath an
//! overwritten map stays as tombstones too: a map that comes back smaller still knows what is missing.

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

use super::delta::{Encoder, Span};
use crate::wire::msgpack;

/// When something in a [`Tree`] was last written. Unique for each write and growing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Revision(u64);

impl Revision {
    /// Before the first write.
    pub const ZERO: Self = Self(0);
    pub(super) const MAX: Self = Self(u64::MAX);

    /// How many writes there were up to it.
    pub const fn value(self) -> u64 {
        self.0
    }
}

/// Place of a node in the slab. Used again after the node was forgotten, unlike its ordinal.
pub(super) type NodeId = u32;
pub(super) const ROOT: NodeId = 0;
const NIL: NodeId = NodeId::MAX;
/// So many ends of ticks are known at most: a minute of a fast game.
const MAX_TICKS: usize = 4096;

/// What a node is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// A map; in the list only while nothing in it is alive.
    Map,
    /// Anything else, as msgpack.
    Leaf(Vec<u8>),
    /// A tombstone, with what died.
    Dead(Last),
}

/// What a node was before it died.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Last {
    /// It was never alive.
    Nothing,
    /// It was a map; what has this revision or a newer one died with it.
    Map(Revision),
    /// It was a leaf.
    Leaf(Vec<u8>),
}

impl Value {
    pub(super) fn is_dead(&self) -> bool {
        matches!(self, Self::Dead(_))
    }
}

#[derive(Debug)]
pub(super) struct Node {
    /// Names the node for good: no other node of the tree ever has the same.
    pub(super) ordinal: u64,
    pub(super) parent: NodeId,
    /// The key in its parent, as msgpack, in the spelling it was first written.
    pub(super) key: Box<[u8]>,
    pub(super) value: Value,
    /// When it was last put into the list.
    pub(super) revision: Revision,
    /// By canonical key, the dead ones included.
    children: BTreeMap<Box<[u8]>, NodeId>,
    alive_children: u32,
    /// The walk of `replace` that last came by.
    pub(super) stamp: u64,
}

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
        let root = Node {
            ordinal: 0,
            parent: NIL,
            key: Box::default(),
            value: Value::Map,
            revision: Revision::ZERO,
            children: BTreeMap::new(),
            alive_children: 0,
            stamp: 0,
        };
        Self {
            nodes: vec![root],
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

    /// Drops the tombstones with this revision or an older one: nobody needs them any more.
    pub fn forget(&mut self, floor: Revision) {
        while self.ticks.front().is_some_and(|&tick| tick <= floor) {
            self.ticks.pop_front();
        }
        while let Some(&(revision, id)) = self.graves.front() {
            if revision > floor {
                break;
            }
            self.graves.pop_front();
            let node = self.node(id);
            // A revision is unique: a node that was revived or forgotten since has another one.
            if node.revision == revision && node.value.is_dead() {
                self.free(id);
            }
        }
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

    /// Adds a child that is not there yet; dead until something is made of it.
    pub(super) fn add_child(&mut self, parent: NodeId, canonical_key: &[u8], key: &[u8]) -> NodeId {
        self.ordinals += 1;
        let node = Node {
            ordinal: self.ordinals,
            parent,
            key: key.into(),
            value: Value::Dead(Last::Nothing),
            revision: Revision::ZERO,
            children: BTreeMap::new(),
            alive_children: 0,
            stamp: 0,
        };
        let id = if let Some(id) = self.free.pop() {
            *self.node_mut(id) = node;
            id
        } else {
            self.nodes.push(node);
            NodeId::try_from(self.nodes.len() - 1).unwrap_or(NIL)
        };
        self.node_mut(parent).children.insert(canonical_key.into(), id);
        id
    }

    /// Makes the node a leaf with these bytes; what was beneath it dies.
    pub(super) fn set_leaf(&mut self, id: NodeId, bytes: &[u8]) {
        if self.node(id).value == Value::Map {
            self.kill_children(id);
        } else {
            self.revive(id);
        }
        self.unlink(id);
        self.size += bytes.len();
        self.size -= self.leaf_size(id);
        let node = self.node_mut(id);
        if let Value::Leaf(old) = &mut node.value {
            old.clear();
            old.extend_from_slice(bytes);
        } else {
            node.value = Value::Leaf(bytes.to_vec());
        }
        self.link(id);
    }

    /// Makes the node a map, an empty one unless it was one; says whether that changed anything.
    pub(super) fn set_map(&mut self, id: NodeId) -> bool {
        if self.node(id).value == Value::Map {
            return false;
        }
        self.revive(id);
        self.unlink(id);
        self.size -= self.leaf_size(id);
        self.node_mut(id).value = Value::Map;
        self.link(id);
        true
    }

    /// Removes the node and what is beneath it; says whether it was alive.
    pub(super) fn kill(&mut self, id: NodeId) -> bool {
        if !self.is_alive(id) {
            return false;
        }
        self.bury(id);
        let parent = self.node(id).parent;
        let node = self.node_mut(parent);
        node.alive_children -= 1;
        if node.alive_children == 0 && parent != ROOT {
            self.link(parent);
        }
        true
    }

    /// Removes the living children that this walk of `replace` did not come by; says how many.
    pub(super) fn kill_unstamped(&mut self, parent: NodeId, stamp: u64) -> usize {
        let unstamped: Vec<_> =
            self.children(parent).filter(|&id| self.node(id).stamp != stamp && self.is_alive(id)).collect();
        for &id in &unstamped {
            self.kill(id);
        }
        unstamped.len()
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

    /// Counts a dead node among the living again.
    fn revive(&mut self, id: NodeId) {
        if self.is_alive(id) {
            return;
        }
        self.alive += 1;
        self.size += self.node(id).key.len();
        let parent = self.node(id).parent;
        let node = self.node_mut(parent);
        node.alive_children += 1;
        if node.alive_children == 1 {
            self.unlink(parent);
        }
    }

    fn kill_children(&mut self, id: NodeId) {
        // As deep as msgpack may be nested, no deeper.
        let children: Vec<_> = self.children(id).filter(|&child| self.is_alive(child)).collect();
        for child in children {
            self.bury(child);
        }
        self.node_mut(id).alive_children = 0;
    }

    fn bury(&mut self, id: NodeId) {
        let since = Revision(self.revision.0 + 1);
        self.kill_children(id);
        self.unlink(id);
        self.size -= self.leaf_size(id) + self.node(id).key.len();
        let node = self.node_mut(id);
        node.value = Value::Dead(match std::mem::replace(&mut node.value, Value::Map) {
            Value::Leaf(bytes) => Last::Leaf(bytes),
            Value::Map => Last::Map(since),
            Value::Dead(last) => last,
        });
        self.alive -= 1;
        self.link(id);
        self.newest_grave = self.revision;
        self.graves.push_back((self.revision, id));
    }

    /// Appends to the list under a new revision.
    fn link(&mut self, id: NodeId) {
        self.revision.0 += 1;
        let revision = self.revision;
        self.node_mut(id).revision = revision;
        self.list.insert(revision, id);
    }

    /// Takes it out of the list, if it is there: a revision is one node's alone.
    fn unlink(&mut self, id: NodeId) {
        let revision = self.node(id).revision;
        self.list.remove(&revision);
    }

    fn free(&mut self, id: NodeId) {
        self.unlink(id);
        let node = self.node_mut(id);
        let (parent, key) = (node.parent, std::mem::take(&mut node.key));
        node.revision = Revision::ZERO;
        node.children = BTreeMap::new();
        let canonical = msgpack::canonical_key(&key);
        self.node_mut(parent).children.remove(&*canonical);
        self.free.push(id);
    }
}
