//! What a server shares: the tree, its time order, and the encodings that views have in common.
//!
//! Owns when the time order goes on. Knows no view: views come to it.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::delta::{Encoder, Encoding, Span};
use super::merge::Merged;
use super::tree::{NodeId, Revision, Tree};
use crate::bell::Bell;
use crate::wire::{Sqn, WireError};

/// How long a view that needs a new time order waits for the game to make one.
const IDLE: Duration = Duration::from_millis(100);
/// A time order that goes on at least this often makes labels as fast as they are needed.
const STILL: Duration = Duration::from_millis(35);
/// More encodings of one revision than this are not kept.
const MAX_CACHED: usize = 4096;

/// The shared state of a server and what its views have in common.
///
/// ```
/// use std::time::Duration;
/// use pygase::state::{PeerKind, Replica, Store, View};
/// use pygase::wire::Sqn;
/// let mut store = Store::new(Sqn::new(1), b"\x81\xa1x\x01").unwrap();
/// let mut view = View::new(&store, PeerKind::Ours);
/// let mut update = Vec::new();
/// view.write_update(&mut store, Duration::ZERO, 1200, &mut update);
/// assert_eq!(update, b"\x82\xa1x\x01\xaatime_order\xcd\x00\x01");
/// let mut replica = Replica::new();
/// assert!(replica.apply(&update).unwrap());
/// view.report(replica.time_order(), &store);
/// assert!(!view.is_behind(&store));
/// ```
#[derive(Debug)]
pub struct Store {
    tree: Tree,
    time_order: Sqn,
    /// When the time order last went on.
    ticked: Duration,
    /// A view is behind and has no label to say so under until the time order goes on.
    starved: bool,
    encoder: Encoder,
    cache: HashMap<(Span, bool), Arc<Encoding>>,
    cached_at: Revision,
    encodings: u64,
    /// Of those who send it.
    bells: Vec<Weak<Bell>>,
}

impl Store {
    /// A store with this state (the msgpacked map of its attributes) and time order.
    pub fn new(time_order: Sqn, state: &[u8]) -> Result<Self, WireError> {
        Self::load(time_order, state).map(|(store, _)| store)
    }

    /// The same, with what was left out.
    pub fn load(time_order: Sqn, state: &[u8]) -> Result<(Self, Merged), WireError> {
        let mut tree = Tree::new();
        let merged = tree.merge(state)?;
        let store = Self {
            tree,
            time_order,
            ticked: Duration::ZERO,
            starved: false,
            encoder: Encoder::default(),
            cache: HashMap::new(),
            cached_at: Revision::ZERO,
            encodings: 0,
            bells: Vec::new(),
        };
        Ok((store, merged))
    }

    /// Has `bell` held during steps of the game.
    pub(crate) fn add_bell(&mut self, bell: &Arc<Bell>) {
        self.bells.retain(|bell| bell.strong_count() > 0);
        self.bells.push(Arc::downgrade(bell));
    }

    /// A step of the game begins: until [`Self::end_step`], nothing is sent earlier than it would be anyway, so that
    /// the events of the step come with what it changes.
    pub fn begin_step(&self) {
        self.bells.iter().filter_map(Weak::upgrade).for_each(|bell| bell.hold());
    }

    /// What the step changes has been pushed.
    pub fn end_step(&self) {
        self.bells.iter().filter_map(Weak::upgrade).for_each(|bell| bell.release());
    }

    /// Merges an update. Its time order becomes the store's; where it is not newer, the store's own goes on
    /// by one, because clients would take no notice otherwise.
    pub fn push(&mut self, now: Duration, time_order: Sqn, update: &[u8]) -> Result<Merged, WireError> {
        let merged = self.tree.merge(update)?;
        self.tree.end_tick();
        self.tick(now, time_order);
        Ok(merged)
    }

    /// Makes the state equal to this one, touching only what differs. The time order goes on only if
    /// something does or if the one given is newer.
    pub fn replace(&mut self, now: Duration, time_order: Sqn, state: &[u8]) -> Result<Merged, WireError> {
        let merged = self.tree.replace(state)?;
        self.tree.end_tick();
        if merged.changed > 0 || time_order.newer_than(self.time_order) {
            self.tick(now, time_order);
        }
        Ok(merged)
    }

    /// The time order of the state.
    pub fn time_order(&self) -> Sqn {
        self.time_order
    }

    /// Lets the time order go on by one if a view waits for that and the game made none for 100 ms. Says
    /// whether it did. Views ask for this themselves when they write.
    pub fn tick_idle(&mut self, now: Duration) -> bool {
        let due = self.starved && now.saturating_sub(self.ticked) >= IDLE;
        if due {
            self.tick(now, self.time_order);
        }
        due
    }

    /// The state.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Drops the tombstones no view needs: those up to the smallest [`View::floor`](super::View::floor), or
    /// up to the revision of the tree where there is no view.
    pub fn forget(&mut self, floor: Revision) {
        self.tree.forget(floor);
    }

    /// How many updates were put together. What views had in common counts once.
    pub fn encodings(&self) -> u64 {
        self.encodings
    }

    /// Time order 0 means "nothing yet" to a client and can be no label: it becomes 1 when it is first needed.
    pub(super) fn start(&mut self, now: Duration) {
        if self.time_order == Sqn::ZERO {
            self.tick(now, Sqn::ZERO);
        }
    }

    /// Whether the time order goes on too slowly to make a label for each package.
    pub(super) fn is_still(&self, now: Duration) -> bool {
        now.saturating_sub(self.ticked) >= STILL
    }

    /// A view is behind and has no label left.
    pub(super) fn starve(&mut self) {
        self.starved = true;
    }

    /// The update of this span, shared by all that ask for the same; `graves`: with tombstones or without.
    pub(super) fn encoding(&mut self, mut span: Span, graves: bool) -> Arc<Encoding> {
        if self.cached_at != self.tree.revision() || self.cache.len() >= MAX_CACHED {
            self.cache.clear();
            self.cached_at = self.tree.revision();
        }
        // Views that differ only in which of no tombstones they need are to share.
        if span.graves_after >= self.tree.newest_grave() {
            span.graves_after = Revision::MAX;
        }
        if let Some(encoding) = self.cache.get(&(span, graves)) {
            return encoding.clone();
        }
        let encoding = Arc::new(self.encoder.encode(&self.tree, span, &|_| graves, true));
        self.encodings += 1;
        self.cache.insert((span, graves), encoding.clone());
        encoding
    }

    /// The update of this span for one view: tombstones only of nodes it has.
    pub(super) fn own_encoding(&mut self, span: Span, has: &dyn Fn(u64) -> bool) -> Arc<Encoding> {
        self.encodings += 1;
        Arc::new(self.encoder.encode(&self.tree, span, has, true))
    }

    /// What these dead nodes were when they died.
    pub(super) fn last_encoding(&mut self, dead: &[NodeId], span: Span) -> Arc<Encoding> {
        self.encodings += 1;
        Arc::new(self.encoder.encode_last(&self.tree, dead, span))
    }

    fn tick(&mut self, now: Duration, time_order: Sqn) {
        self.time_order =
            if time_order.newer_than(self.time_order) { time_order } else { self.time_order.next() };
        self.ticked = now;
        self.starved = false;
    }
}
