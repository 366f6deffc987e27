//! How nodes come to life, change and die: what each write does to the list, the graves and the sizes.

use std::collections::BTreeMap;

use super::{Last, NIL, Node, NodeId, ROOT, Revision, Tree, Value};
use crate::wire::msgpack;

impl Tree {
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

    /// Adds a child that is not there yet; dead until something is made of it.
    pub(in crate::state) fn add_child(&mut self, parent: NodeId, canonical_key: &[u8], key: &[u8]) -> NodeId {
        self.ordinals += 1;
        let node = Node::new(self.ordinals, parent, key, Value::Dead(Last::Nothing));
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
    pub(in crate::state) fn set_leaf(&mut self, id: NodeId, bytes: &[u8]) {
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
    pub(in crate::state) fn set_map(&mut self, id: NodeId) -> bool {
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
    pub(in crate::state) fn kill(&mut self, id: NodeId) -> bool {
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
    pub(in crate::state) fn kill_unstamped(&mut self, parent: NodeId, stamp: u64) -> usize {
        let unstamped: Vec<_> =
            self.children(parent).filter(|&id| self.node(id).stamp != stamp && self.is_alive(id)).collect();
        for &id in &unstamped {
            self.kill(id);
        }
        unstamped.len()
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
