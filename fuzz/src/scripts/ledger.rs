//! Who dispatched what, who got what, and what the senders were told.

use std::collections::HashMap;
use std::sync::Arc;

use pygase::connection::{CallbackId, ConnectionEvent};
use pygase::wire::msgpack;

#[derive(Debug, Default)]
struct Entry {
    got: u32,
    acknowledged: u32,
    timed_out: u32,
}

/// The events of one direction.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    entries: HashMap<CallbackId, Entry>,
    may_repeat: bool,
}

impl Ledger {
    /// From now on an event may come more than once.
    pub(super) fn allow_repetition(&mut self) {
        self.may_repeat = true;
    }

    /// A new event and the callback to dispatch it with.
    pub(super) fn event(&mut self) -> (Arc<[u8]>, CallbackId) {
        let id = self.entries.len() as CallbackId + 1;
        self.entries.insert(id, Entry::default());
        let mut args = vec![0x91];
        msgpack::write_uint(&mut args, id);
        (msgpack::event("N", &args, &[0x80]).into(), id)
    }

    /// Something happened at the sender.
    pub(super) fn told(&mut self, happened: &ConnectionEvent) {
        let (id, acknowledged) = match happened {
            ConnectionEvent::Acknowledged(id) => (id, true),
            ConnectionEvent::TimedOut(id) => (id, false),
            _ => return,
        };
        let entry = self.entries.get_mut(id).expect("a callback of ours");
        if acknowledged {
            entry.acknowledged += 1;
        } else {
            entry.timed_out += 1;
        }
        assert_eq!(entry.acknowledged + entry.timed_out, 1, "outcomes of event {id}");
    }

    /// Something happened at the receiver.
    pub(super) fn came(&mut self, happened: &ConnectionEvent) {
        let ConnectionEvent::Event(bytes) = happened else { return };
        let parts = msgpack::event_parts(bytes).expect("a checked event");
        if parts.event_type == "~token" {
            // To one who takes its peer for an original it is an event like any other, for which nobody has a handler.
            assert!(self.may_repeat);
            return;
        }
        let mut args = msgpack::Reader::new(parts.args);
        let (Ok(_), Ok(msgpack::Token::Uint(id))) = (args.next(), args.next()) else { panic!("not ours") };
        let entry = self.entries.get_mut(&id).expect("an event of ours");
        entry.got += 1;
        assert!(entry.got == 1 || self.may_repeat, "event {id} came {} times", entry.got);
    }

    /// Everything is over, and both sides have heard of everything that happened.
    pub(super) fn close(&self) {
        for (id, entry) in &self.entries {
            assert!(entry.acknowledged == 0 || entry.got > 0, "event {id} was acknowledged and never came");
            assert_eq!(entry.acknowledged + entry.timed_out, 1, "outcomes of event {id}");
        }
    }
}
