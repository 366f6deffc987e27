//! One node of the tree: a leaf, a map, or what is left of one.

use std::collections::BTreeMap;

/// When something in a [`Tree`](super::Tree) was last written. Unique for each write and growing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Revision(pub(super) u64);

impl Revision {
    /// Before the first write.
    pub const ZERO: Self = Self(0);
    pub(in crate::state) const MAX: Self = Self(u64::MAX);

    /// How many writes there were up to it.
    pub const fn value(self) -> u64 {
        self.0
    }
}

/// Place of a node in the slab. Used again after the node was forgotten, unlike its ordinal.
pub(in crate::state) type NodeId = u32;
pub(in crate::state) const ROOT: NodeId = 0;
pub(super) const NIL: NodeId = NodeId::MAX;

/// What a node is.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::state) enum Value {
    /// A map; in the list only while nothing in it is alive.
    Map,
    /// Anything else, as msgpack.
    Leaf(Vec<u8>),
    /// A tombstone, with what died.
    Dead(Last),
}

/// What a node was before it died.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::state) enum Last {
    /// It was never alive.
    Nothing,
    /// It was a map; what has this revision or a newer one died with it.
    Map(Revision),
    /// It was a leaf.
    Leaf(Vec<u8>),
}

impl Value {
    pub(in crate::state) fn is_dead(&self) -> bool {
        matches!(self, Self::Dead(_))
    }
}

#[derive(Debug)]
pub(in crate::state) struct Node {
    /// Names the node for good: no other node of the tree ever has the same.
    pub(in crate::state) ordinal: u64,
    pub(in crate::state) parent: NodeId,
    /// The key in its parent, as msgpack, in the spelling it was first written.
    pub(in crate::state) key: Box<[u8]>,
    pub(in crate::state) value: Value,
    /// When it was last put into the list.
    pub(in crate::state) revision: Revision,
    /// By canonical key, the dead ones included.
    pub(super) children: BTreeMap<Box<[u8]>, NodeId>,
    pub(super) alive_children: u32,
    /// The walk of `replace` that last came by.
    pub(in crate::state) stamp: u64,
}

impl Node {
    /// A node that was never written.
    pub(super) fn new(ordinal: u64, parent: NodeId, key: &[u8], value: Value) -> Self {
        Self {
            ordinal,
            parent,
            key: key.into(),
            value,
            revision: Revision::ZERO,
            children: BTreeMap::new(),
            alive_children: 0,
            stamp: 0,
        }
    }
}
