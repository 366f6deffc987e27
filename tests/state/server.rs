//! A server's view of one client, to be asked for updates.

use std::time::Duration;

use pygase::state::{PeerKind, Store, View};
use pygase::wire::{Sqn, msgpack};

use crate::model::{Dict, parse};

/// Room for an update, in bytes.
pub(crate) const BUDGET: usize = 1200;

/// A server with one client, and the time there.
pub(crate) struct Server {
    pub(crate) store: Store,
    pub(crate) view: View,
    pub(crate) now: Duration,
    marks: bool,
}

impl Server {
    pub(crate) fn new(kind: PeerKind, time_order: u16, state: &[u8]) -> Self {
        let store = Store::new(Sqn::new(time_order), state).unwrap();
        let view = View::new(&store, kind);
        Self { store, view, now: Duration::from_secs(1), marks: kind == PeerKind::Ours }
    }

    pub(crate) fn push(&mut self, time_order: u16, update: &[u8]) {
        self.store.push(self.now, Sqn::new(time_order), update).unwrap();
    }

    pub(crate) fn report(&mut self, label: u16) {
        self.view.report(Sqn::new(label), &self.store);
    }

    pub(crate) fn bytes(&mut self, budget: usize) -> Vec<u8> {
        let mut out = Vec::new();
        self.view.write_update(&mut self.store, self.now, budget, &mut out);
        out
    }

    /// The label of the next update and what is in it.
    pub(crate) fn update(&mut self) -> (u16, Dict) {
        self.update_within(BUDGET)
    }

    pub(crate) fn update_within(&mut self, budget: usize) -> (u16, Dict) {
        let bytes = self.bytes(budget);
        let (label, part) = msgpack::update_label(&bytes).unwrap();
        let form = if part { &b"\xaatime_order\xce\0\0"[..] } else { b"\xaatime_order\xcd" };
        assert!(bytes[..bytes.len() - 2].ends_with(form), "{bytes:02x?}");
        assert!(!part || self.marks, "an original is told nothing of parts");
        (label.value(), parse(&bytes))
    }

    /// The same, a while later: nothing sent before is under way any more.
    pub(crate) fn later_update(&mut self) -> (u16, Dict) {
        self.now += Duration::from_millis(501);
        self.update()
    }
}

/// Runs a test with a client of ours and with an original.
pub(crate) fn both(test: impl Fn(PeerKind)) {
    test(PeerKind::Ours);
    test(PeerKind::Original);
}
