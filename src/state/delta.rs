//! Taking updates out of a [`Tree`]: what was written after a revision, oldest first, within a budget.
//!
//! Owns the bytes of an update and what they stand for. Who is sent them, and under which label, is the
//! business of `view`; that they are made once for all views is the business of `store`.

use super::merge::{PART_EXTRA, TIME_ORDER_SIZE};
use super::nodeset::{self, Word, words};
use super::tree::{Last, NodeId, ROOT, Revision, Tree, Value};
use crate::wire::limits::TO_DELETE_MSGPACK;
use crate::wire::{Sqn, msgpack};

/// What an update is to be made of.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Span {
    /// What has this revision or an older one is not in it.
    pub(super) after: Revision,
    /// What is newer than this is not in it.
    pub(super) until: Revision,
    /// Tombstones with this revision or an older one are not in it.
    pub(super) graves_after: Revision,
    /// The most bytes it may have, but for a single leaf,
    pub(super) budget: usize,
    /// which may have as many as this.
    pub(super) hard_limit: usize,
}

/// An update and what it stands for.
#[derive(Debug)]
pub(super) struct Encoding {
    /// The update; where it is live it ends with a time order to be set.
    bytes: Box<[u8]>,
    /// Everything after the span's beginning up to here is in it.
    pub(super) upto: Revision,
    /// Whether that is everything there was in the span.
    pub(super) complete: bool,
    /// How many leaves and markers are in it.
    pub(super) entries: usize,
    /// The nodes that exist where it was merged.
    pub(super) made: Box<[Word]>,
    /// The nodes that its markers delete, by ordinal; their place is good as long as the tree stays as it is.
    pub(super) deleted: Box<[(u64, NodeId)]>,
    /// All dead nodes within what it covers or beneath what it deletes: whoever merged it has none of them.
    pub(super) dead: Box<[u64]>,
}

impl Encoding {
    /// How many bytes it has, as a part.
    pub(super) fn len(&self) -> usize {
        self.bytes.len() + PART_EXTRA
    }

    /// Appends the update, if it is a live one, under this label; `part` tells a client of ours that with it
    /// alone the state is not whole.
    pub(super) fn write(&self, label: Sqn, part: bool, out: &mut Vec<u8>) {
        let (body, _) = self.bytes.split_at(self.bytes.len().saturating_sub(3));
        out.extend_from_slice(body);
        msgpack::write_label(out, label, part);
    }

    /// Whether this node exists where it was merged.
    pub(super) fn makes(&self, ordinal: u64) -> bool {
        nodeset::contains(&self.made, ordinal)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// One key of the update that is being put together.
struct Item {
    node: NodeId,
    children: u32,
    first: usize,
    last: usize,
    next: usize,
}

const NONE: usize = usize::MAX;

/// Makes updates; keeps what it needs for that from one to the next.
#[derive(Debug, Default)]
pub(super) struct Encoder {
    /// Where each node is in the update at hand, if the round is the present one.
    places: Vec<(u64, usize)>,
    round: u64,
}

impl Encoder {
    /// An update of what is in the span. A tombstone counts only for those that `has` the node. With `live`
    /// it ends with a time order.
    ///
    /// If there is more than fits, and a tick of the game ends so late that little room is lost, then the update
    /// ends there, too.
    pub(super) fn encode(
        &mut self,
        tree: &Tree,
        span: Span,
        has: &dyn Fn(u64) -> bool,
        live: bool,
    ) -> Encoding {
        let encoding = self.encode_all(tree, span, has, live);
        if encoding.complete {
            return encoding;
        }
        match tree.last_tick(span.after, encoding.upto) {
            Some(tick) if tick < encoding.upto => {
                let whole = self.encode_all(tree, Span { until: tick, ..span }, has, live);
                let is_worth_it = whole.entries > 0 && whole.len() * 3 >= encoding.len() * 2;
                if is_worth_it { Encoding { complete: false, ..whole } } else { encoding }
            }
            _ => encoding,
        }
    }

    fn encode_all(&mut self, tree: &Tree, span: Span, has: &dyn Fn(u64) -> bool, live: bool) -> Encoding {
        let mut draft = self.draft(tree, live, false);
        let (mut upto, mut complete) = (span.after, true);
        let (mut deleted, mut dead) = (Vec::new(), Vec::new());
        for (revision, id) in tree.written(span.after, span.until) {
            let node = tree.node(id);
            tree.count_visit();
            let is_dead = node.value.is_dead();
            if !is_dead || (node.revision > span.graves_after && has(node.ordinal)) {
                let target = if is_dead { tree.topmost(id) } else { id };
                match draft.add(target, span) {
                    Added::New if is_dead => {
                        // Gone with it is also what died beneath it later than this update reaches.
                        tree.dead_beneath(target, &mut dead);
                        if !tree.is_alive(target) {
                            deleted.push((tree.node(target).ordinal, target));
                        }
                    }
                    Added::New | Added::Before => {}
                    Added::NoRoom => {
                        complete = false;
                        break;
                    }
                }
            }
            if is_dead && node.revision > span.graves_after {
                dead.push(node.ordinal);
            }
            upto = revision;
        }
        if complete {
            upto = upto.max(tree.revision().min(span.until));
        }
        draft.finish(live, Covers { upto, complete, deleted, dead })
    }

    /// An update with what these dead nodes were when they died. It covers nothing.
    pub(super) fn encode_last(&mut self, tree: &Tree, dead: &[NodeId], span: Span) -> Encoding {
        let mut draft = self.draft(tree, true, true);
        let mut parts = Vec::new();
        for &id in dead {
            tree.died_with(id, &mut parts);
        }
        for id in parts {
            // What finds no room gets its turn when this was confirmed.
            draft.add(id, span);
        }
        let covers = Covers { upto: span.after, complete: false, deleted: Vec::new(), dead: Vec::new() };
        draft.finish(true, covers)
    }

    fn draft<'a>(&'a mut self, tree: &'a Tree, live: bool, undead: bool) -> Draft<'a> {
        self.round += 1;
        self.places.resize(tree.slots(), (0, NONE));
        let root = Item { node: ROOT, children: live.into(), first: NONE, last: NONE, next: NONE };
        let mut draft = Draft {
            tree,
            undead,
            places: &mut self.places,
            round: self.round,
            items: vec![root],
            path: Vec::new(),
            size: 1 + if live { TIME_ORDER_SIZE + PART_EXTRA } else { 0 },
            entries: 0,
        };
        draft.place(ROOT, 0);
        draft
    }
}

/// What an encoding stands for beside its bytes.
struct Covers {
    upto: Revision,
    complete: bool,
    deleted: Vec<(u64, NodeId)>,
    dead: Vec<u64>,
}

/// What becomes of a node in an update.
enum Part<'a> {
    Map,
    Leaf(&'a [u8]),
    Marker,
}

enum Added {
    New,
    Before,
    NoRoom,
}

/// An update that is being put together: the part of the tree that is in it.
struct Draft<'a> {
    tree: &'a Tree,
    /// The dead go in as what they were.
    undead: bool,
    places: &'a mut [(u64, usize)],
    round: u64,
    items: Vec<Item>,
    path: Vec<NodeId>,
    size: usize,
    entries: usize,
}

impl Draft<'_> {
    fn place(&mut self, id: NodeId, index: usize) {
        if let Some(place) = self.places.get_mut(id as usize) {
            *place = (self.round, index);
        }
    }

    fn placed(&self, id: NodeId) -> Option<usize> {
        self.places.get(id as usize).filter(|place| place.0 == self.round).map(|place| place.1)
    }

    /// Adds a node with the path to it, unless it is in already or there is no room.
    fn add(&mut self, target: NodeId, span: Span) -> Added {
        let tree = self.tree;
        self.path.clear();
        let mut size = match self.part(target) {
            Part::Leaf(bytes) => bytes.len(),
            Part::Map => 1,
            Part::Marker => TO_DELETE_MSGPACK.len(),
        };
        let mut at = target;
        let parent = loop {
            if let Some(index) = self.placed(at) {
                break index;
            }
            // Each map on the way has a header of one byte as long as it is alone in it.
            size += tree.node(at).key.len() + usize::from(at != target);
            self.path.push(at);
            at = tree.node(at).parent;
        };
        if self.path.is_empty() {
            return Added::Before;
        }
        let siblings = self.items.get(parent).map_or(0, |item| item.children);
        size += header_size(siblings + 1) - header_size(siblings);
        let room = if self.entries == 0 { span.hard_limit } else { span.budget };
        if self.size + size > room.max(span.budget) {
            return Added::NoRoom;
        }
        self.size += size;
        self.entries += 1;
        let mut parent = parent;
        while let Some(id) = self.path.pop() {
            parent = self.hang(id, parent);
        }
        Added::New
    }

    fn hang(&mut self, node: NodeId, parent: usize) -> usize {
        let index = self.items.len();
        self.items.push(Item { node, children: 0, first: NONE, last: NONE, next: NONE });
        self.place(node, index);
        let last = self.items.get_mut(parent).map_or(NONE, |item| {
            item.children += 1;
            if item.first == NONE {
                item.first = index;
            }
            std::mem::replace(&mut item.last, index)
        });
        if let Some(last) = self.items.get_mut(last) {
            last.next = index;
        }
        index
    }

    fn part(&self, id: NodeId) -> Part<'_> {
        match &self.tree.node(id).value {
            Value::Leaf(bytes) => Part::Leaf(bytes),
            Value::Map => Part::Map,
            Value::Dead(Last::Leaf(bytes)) if self.undead => Part::Leaf(bytes),
            Value::Dead(Last::Map(_)) if self.undead => Part::Map,
            Value::Dead(_) => Part::Marker,
        }
    }

    fn finish(&self, live: bool, covers: Covers) -> Encoding {
        let mut bytes = Vec::with_capacity(self.size);
        self.write(0, &mut bytes);
        if live {
            msgpack::write_time_order_fixed(&mut bytes, Sqn::ZERO);
        }
        let extra = if live { PART_EXTRA } else { 0 };
        debug_assert_eq!(bytes.len() + extra, self.size, "the size is known before");
        let made = self.items.iter().skip(1).map(|item| item.node);
        let made = made.filter(|&id| !matches!(self.part(id), Part::Marker));
        Encoding {
            bytes: bytes.into(),
            upto: covers.upto,
            complete: covers.complete,
            entries: self.entries,
            made: words(made.map(|id| self.tree.node(id).ordinal).collect()),
            deleted: covers.deleted.into(),
            dead: covers.dead.into(),
        }
    }

    /// Recurses no deeper than the tree is, which is no deeper than msgpack may be nested.
    fn write(&self, index: usize, out: &mut Vec<u8>) {
        let Some(item) = self.items.get(index) else { return };
        out.extend_from_slice(&self.tree.node(item.node).key);
        match self.part(item.node) {
            Part::Leaf(bytes) => out.extend_from_slice(bytes),
            Part::Marker => out.extend_from_slice(&TO_DELETE_MSGPACK),
            Part::Map => {
                msgpack::write_map_len(out, item.children);
                let mut child = item.first;
                while let Some(item) = self.items.get(child) {
                    self.write(child, out);
                    child = item.next;
                }
            }
        }
    }
}

fn header_size(entries: u32) -> usize {
    match entries {
        0..=15 => 1,
        16..=0xffff => 3,
        _ => 5,
    }
}
