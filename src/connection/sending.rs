//! What goes out: events that wait, and the packages that carry them.

use std::{sync::Arc, time::Duration};

use super::{
    CallbackId, Connection, ConnectionEvent, DispatchError, SentPackage, Status, events::Outgoing, farewell,
    token,
};
use crate::wire::{Body, EventNumber, Header, PackageWriter, Sqn, WireError};

impl Connection {
    /// Queues a msgpacked event of at most `limit` bytes; `callback` is told what became of it.
    ///
    /// A full queue refuses the event: that counts, and `callback` hears of a timeout at once.
    pub fn dispatch(
        &mut self,
        event: Arc<[u8]>,
        callback: Option<CallbackId>,
        limit: usize,
    ) -> Result<(), DispatchError> {
        self.dispatch_retried(event, callback, 0, limit)
    }

    /// [`Self::dispatch`] of an event that is sent again up to `retries` times when it gets lost. A peer of ours
    /// hands it on once all the same.
    pub fn dispatch_retried(
        &mut self,
        event: Arc<[u8]>,
        callback: Option<CallbackId>,
        retries: u32,
        limit: usize,
    ) -> Result<(), DispatchError> {
        if event.len() > limit {
            return Err(DispatchError::TooLarge { size: event.len(), limit });
        }
        if token::in_event(&event).is_some() || farewell::in_event(&event).is_some() {
            return Err(DispatchError::Reserved);
        }
        let in_order = self.config.ordered_events;
        let has_room = event.len() + EventNumber::MAX_SIZE <= limit && EventNumber::fits(&event);
        let next = self.event_number.wrapping_add(1);
        let number =
            ((retries > 0 || in_order) && has_room).then_some(EventNumber { number: next, in_order });
        if self
            .outgoing
            .push(&self.config, Outgoing { event, callback, number, retries, may_have_come: false })
        {
            self.event_number = number.map_or(self.event_number, |number| number.number);
        } else {
            self.stats.queue_full += 1;
            self.happened.extend(callback.map(ConnectionEvent::TimedOut));
        }
        Ok(())
    }

    /// Appends the next package to `out`: header, `body`, and up to `max_events` waiting events as far as
    /// the datagram stays within `limit` bytes. What does not fit waits for the next package.
    pub fn write_package(
        &mut self,
        now: Duration,
        body: Body<'_>,
        limit: usize,
        max_events: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), WireError> {
        let header = Header { sequence: self.local_sequence.next(), ..self.acknowledgement() };
        self.write_package_with(now, header, body, limit, max_events, out)
    }

    /// [`Self::write_package`] with a header of the caller's making; its number becomes the newest sent.
    pub fn write_package_with(
        &mut self,
        now: Duration,
        header: Header,
        body: Body<'_>,
        limit: usize,
        max_events: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), WireError> {
        let start = out.len();
        PackageWriter::new(out, header, body)?;
        self.fill_package(now, header.sequence, limit, max_events, out, start);
        Ok(())
    }

    /// Appends up to `max_events` waiting events to the package that begins at `start` in `out`, as far as it
    /// stays within `limit` bytes, and takes note that it goes out.
    pub fn fill_package(
        &mut self,
        now: Duration,
        sequence: Sqn,
        limit: usize,
        max_events: usize,
        out: &mut Vec<u8>,
        start: usize,
    ) {
        let mut writer = PackageWriter::reopen(out, start);
        let mut package = SentPackage::new(sequence, now);
        let numbers_events = self.numbers_events;
        for _ in 0..max_events {
            let next = self.outgoing.pop_if(|next| match next.number {
                Some(number) if numbers_events => writer.push_numbered(&next.event, number, limit),
                _ => writer.push_event(&next.event, limit),
            });
            let Some(next) = next else { break };
            self.stats.events_sent += 1;
            package.carry(next);
        }
        self.stats.sent += 1;
        self.stats.bytes_sent += writer.size() as u64;
        self.local_sequence = sequence;
        self.in_flight.push(package);
    }

    /// Size in bytes of the first event that waits to be sent.
    pub fn next_event_size(&self) -> Option<usize> {
        let next = self.outgoing.front()?;
        let number = next.number.filter(|_| self.numbers_events);
        Some(next.event.len() + number.map_or(0, EventNumber::size))
    }

    /// Whether an event waits that was never sent and is to go early to a peer that `is_ours`, or is none.
    pub(crate) fn hurries(&self, is_ours: bool) -> bool {
        self.outgoing.has_fresh()
            && self.status == Status::Connected
            && self.config.prompt_events.unwrap_or(is_ours)
    }

    /// Names the body of the package sent last, to hear of it from [`Self::take_arrived`].
    pub fn number_newest(&mut self, number: u64) {
        self.in_flight.number_newest(number);
    }

    /// Takes out the names of bodies that were acknowledged.
    pub fn take_arrived(&mut self) -> impl Iterator<Item = u64> + '_ {
        self.arrived.drain(..)
    }
}
