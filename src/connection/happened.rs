//! What happened on a connection and waits for somebody to take it.
//!
//! Bounded however long nobody does: events by the room for those that came in, fates of events by those that were
//! dispatched here, changes of the connection by [`MAX_CHANGES`].

use std::collections::VecDeque;

use super::{CallbackId, Quality, Status};
use crate::room::give_back;

/// So many changes of status and quality, and reasons for them, are told one by one.
const MAX_CHANGES: usize = 32;

/// What happened on a connection, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum ConnectionEvent {
    /// An event came in (msgpacked, checked).
    Event(Box<[u8]>),
    /// The package that carried an event was acknowledged.
    Acknowledged(CallbackId),
    /// The package that carried an event was not acknowledged in time, or the event never left.
    TimedOut(CallbackId),
    /// The status changed.
    Status(Status),
    /// The quality changed.
    Quality(Quality),
    /// The session has ended, for this reason: a server of ours says so, or somebody has taken its place at the same
    /// address. The status follows.
    Farewell(Box<str>),
}

#[derive(Debug, Default)]
pub(super) struct Happened {
    queue: VecDeque<ConnectionEvent>,
    changes: usize,
}

impl Happened {
    /// Takes note of what is no change.
    pub(super) fn push(&mut self, event: ConnectionEvent) {
        self.queue.push_back(event);
    }

    /// Takes note of what is no change.
    pub(super) fn extend(&mut self, events: impl IntoIterator<Item = ConnectionEvent>) {
        self.queue.extend(events);
    }

    /// Takes note of a change of a connection with this `status`. Where too many wait, those in between are left out:
    /// what is told in the end is how it stands. Gives how many are.
    pub(super) fn change(&mut self, change: ConnectionEvent, status: Status) -> usize {
        let mut left_out = 0;
        if self.changes >= MAX_CHANGES {
            left_out = std::mem::take(&mut self.changes);
            self.queue.retain(|event| !is_change(event));
            let stands = ConnectionEvent::Status(status);
            if stands != change {
                self.changes += 1;
                self.queue.push_back(stands);
            }
        }
        self.changes += 1;
        self.queue.push_back(change);
        left_out
    }

    /// Takes out what happened first.
    pub(super) fn pop(&mut self) -> Option<ConnectionEvent> {
        self.remove(0)
    }

    /// Takes out what happened as number `index` of those that wait.
    pub(super) fn remove(&mut self, index: usize) -> Option<ConnectionEvent> {
        let event = self.queue.remove(index)?;
        give_back(&mut self.queue);
        self.changes -= usize::from(is_change(&event));
        Some(event)
    }

    /// What waits, oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &ConnectionEvent> {
        self.queue.iter()
    }

    /// How much waits.
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }
}

/// Whether it tells how the connection stands, not what became of an event.
fn is_change(event: &ConnectionEvent) -> bool {
    matches!(event, ConnectionEvent::Status(_) | ConnectionEvent::Quality(_) | ConnectionEvent::Farewell(_))
}
