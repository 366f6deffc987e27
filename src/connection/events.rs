//! Bounded queues of events, both ways.

use std::{collections::VecDeque, sync::Arc};

use super::{CallbackId, Config};
use crate::{room::give_back, wire::EventNumber};

/// Why an event was refused at the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DispatchError {
    /// No package could ever carry it.
    #[error(
        "the event has {size} bytes, but an event in a package may have at most {limit}: send less, or share it as game state"
    )]
    TooLarge {
        /// Its msgpacked size in bytes.
        size: usize,
        /// What fits into a package of this kind.
        limit: usize,
    },
    /// It would be taken for one by which two peers of ours speak: a game that sends on what players
    /// write must not let them end the sessions of others.
    #[error(
        "an event of this type with this argument is one by which two peers of pygase-rs speak: choose a type that does not begin with '~'"
    )]
    Reserved,
}

/// An event that waits for a package.
#[derive(Debug)]
pub(super) struct Outgoing {
    /// msgpacked; shared when one event goes to many.
    pub(super) event: Arc<[u8]>,
    pub(super) callback: Option<CallbackId>,
    /// Under which it travels to a peer that looks at it.
    pub(super) number: Option<EventNumber>,
    /// How often it is sent again when it gets lost.
    pub(super) retries: u32,
    /// It was sent, and perhaps only the acknowledgement got lost.
    pub(super) may_have_come: bool,
}

/// Events that wait for a package, bounded in number and bytes.
#[derive(Debug, Default)]
pub(super) struct OutgoingEvents {
    queue: VecDeque<Outgoing>,
    bytes: usize,
}

impl OutgoingEvents {
    /// Queues an event; says whether there was room.
    pub(super) fn push(&mut self, config: &Config, outgoing: Outgoing) -> bool {
        let bytes = self.bytes + outgoing.event.len();
        let room = self.queue.len() < config.max_waiting_events && bytes <= config.max_waiting_bytes;
        if room {
            self.bytes = bytes;
            self.queue.push_back(outgoing);
        }
        room
    }

    /// Puts an event that was lost before those that wait; gives it back if there is no room.
    pub(super) fn put_back(&mut self, config: &Config, outgoing: Outgoing) -> Result<(), Outgoing> {
        let bytes = self.bytes + outgoing.event.len();
        if self.queue.len() >= config.max_waiting_events || bytes > config.max_waiting_bytes {
            return Err(outgoing);
        }
        self.bytes = bytes;
        self.queue.push_front(outgoing);
        Ok(())
    }

    /// Takes out the first event if `accept` takes it.
    pub(super) fn pop_if(&mut self, accept: impl FnOnce(&Outgoing) -> bool) -> Option<Outgoing> {
        if !accept(self.queue.front()?) {
            return None;
        }
        let outgoing = self.queue.pop_front()?;
        give_back(&mut self.queue);
        self.bytes -= outgoing.event.len();
        Some(outgoing)
    }

    /// How many wait, and how many bytes they have.
    pub(super) fn waiting(&self) -> (usize, usize) {
        (self.queue.len(), self.bytes)
    }

    /// Whether one waits that was never sent: they stand behind those that are sent again.
    pub(super) fn has_fresh(&self) -> bool {
        self.queue.back().is_some_and(|last| !last.may_have_come)
    }

    pub(super) fn front(&self) -> Option<&Outgoing> {
        self.queue.front()
    }

    /// Takes out those that are to stay no longer; gives their callbacks.
    pub(super) fn retain(&mut self, stays: impl Fn(&Outgoing) -> bool) -> Vec<CallbackId> {
        let mut callbacks = Vec::new();
        let bytes = &mut self.bytes;
        self.queue.retain(|outgoing| {
            let stays = stays(outgoing);
            if !stays {
                *bytes -= outgoing.event.len();
                callbacks.extend(outgoing.callback);
            }
            stays
        });
        give_back(&mut self.queue);
        callbacks
    }

    pub(super) fn drain(&mut self) -> impl Iterator<Item = Outgoing> + use<> {
        self.bytes = 0;
        std::mem::take(&mut self.queue).into_iter()
    }
}

/// How much of the room for events that came in is taken.
#[derive(Debug, Default)]
pub(super) struct IncomingBudget {
    events: usize,
    bytes: usize,
}

impl IncomingBudget {
    /// Takes room for events of the given sizes, all or none; says whether there was room.
    pub(super) fn admit(&mut self, config: &Config, sizes: impl Iterator<Item = usize>) -> bool {
        let (events, bytes) = sizes.fold((self.events, self.bytes), |(n, sum), size| (n + 1, sum + size));
        let grows = events > self.events;
        if grows && (events > config.max_waiting_events || bytes > config.max_waiting_bytes) {
            return false;
        }
        (self.events, self.bytes) = (events, bytes);
        true
    }

    pub(super) fn release(&mut self, size: usize) {
        self.events = self.events.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(size);
    }
}
