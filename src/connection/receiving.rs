//! What comes in: acknowledgements, events, and what a peer of ours says to us alone.

use std::{num::NonZeroU64, time::Duration};

use super::{
    Arrival, Connection, ConnectionEvent, NumberedArrivals, Receipt, Status, arrivals::Taken, farewell,
    round_trip::smoothed, token,
};
use crate::wire::{EventNumber, Header, Package, Sqn};

impl Connection {
    /// Takes in a checked package: acknowledgements, then its events, unless its number was seen before,
    /// is too old, or its events find no room (then it counts as never received).
    pub fn receive(&mut self, now: Duration, package: &Package<'_>) -> Receipt {
        match self.received.classify(package.header.sequence) {
            Arrival::Duplicate => {
                self.stats.duplicate += 1;
                return Receipt::Dropped;
            }
            Arrival::Late => {
                self.stats.late += 1;
                return Receipt::Dropped;
            }
            Arrival::Newest | Arrival::Older => {}
        }
        self.last_heard = Some(now);
        self.set_status(Status::Connected);
        self.acknowledge(now, package.header);
        if !self.incoming.admit(&self.config, package.events().map(<[u8]>::len)) {
            self.stats.queue_full += 1;
            return Receipt::Refused;
        }
        let arrival = self.received.receive(package.header.sequence);
        self.stats.received += 1;
        for event in package.events() {
            self.take_in(now, event.into());
        }
        if arrival == Arrival::Newest { Receipt::Newest } else { Receipt::Older }
    }

    /// Takes in events of packages that were received before there was a connection.
    pub fn accept_held(&mut self, now: Duration, events: Vec<Box<[u8]>>) {
        self.last_heard = Some(now);
        for event in events {
            if self.incoming.admit(&self.config, std::iter::once(event.len())) {
                self.take_in(now, event);
            } else {
                self.stats.queue_full += 1;
            }
        }
    }

    /// Takes over the memory of which numbered events came from another connection, `None` for a peer never spoken
    /// to. Gives what it remembered itself; events that wait for others are handed on.
    pub(crate) fn replace_arrivals(
        &mut self,
        arrivals: Option<Box<NumberedArrivals>>,
    ) -> Option<Box<NumberedArrivals>> {
        self.hand_on_held();
        std::mem::replace(&mut self.arrivals, arrivals)
    }

    /// Hands on events that wait for others.
    pub(crate) fn hand_on_held(&mut self) {
        if let Some(arrivals) = &mut self.arrivals {
            let mut ready = Vec::new();
            arrivals.give_up_waiting(&mut ready);
            self.happened.extend(ready.into_iter().map(ConnectionEvent::Event));
        }
    }

    /// Acknowledgement fields of the next header.
    pub fn acknowledgement(&self) -> Header {
        Header { sequence: Sqn::ZERO, ack: self.received.newest, ack_bitfield: self.received.bitfield }
    }

    fn acknowledge(&mut self, now: Duration, header: Header) {
        let Self {
            in_flight, overdue, latency, jitter, round_trip: newest, stats, happened, arrived, ..
        } = self;
        let mut note = |round_trip: Duration| {
            *newest = Some(round_trip);
            *latency = smoothed(*latency, round_trip.as_secs_f64());
            jitter.note(round_trip);
        };
        // What was in them has timed out, and that stands.
        overdue.acknowledge(now, header, |round_trip| {
            note(round_trip);
            stats.acknowledged_late += 1;
        });
        in_flight.acknowledge(header, |package| {
            note(now.saturating_sub(package.at));
            stats.acknowledged += 1;
            arrived.extend(package.number.map(NonZeroU64::get));
            happened.extend(package.into_callbacks().map(ConnectionEvent::Acknowledged));
        });
    }

    /// Takes in an event for which there is room.
    fn take_in(&mut self, now: Duration, event: Box<[u8]>) {
        if let Some(token) = token::in_event(&event) {
            self.incoming.release(event.len());
            // From one that counts as an original, because its hello got lost, it is no event either.
            if self.numbers_events {
                self.token = Some(token);
            } else {
                self.stats.events_reserved += 1;
            }
            return;
        }
        if let Some(reason) = farewell::in_event(&event) {
            self.incoming.release(event.len());
            if self.numbers_events {
                self.farewell = Some(reason.into());
            } else {
                self.stats.events_reserved += 1;
            }
            return;
        }
        self.stats.events_received += 1;
        let Some(number) = EventNumber::of(&event) else {
            self.happened.push(ConnectionEvent::Event(event));
            return;
        };
        let (size, mut ready) = (event.len(), Vec::new());
        let arrivals = self.arrivals.get_or_insert_with(|| Box::new(NumberedArrivals::new(number.number)));
        match arrivals.take(now, number, event, &mut ready) {
            Taken::Yes => {}
            Taken::OutOfOrder => self.stats.events_out_of_order += 1,
            Taken::Repeated => {
                self.stats.events_repeated += 1;
                self.incoming.release(size);
            }
        }
        self.happened.extend(ready.into_iter().map(ConnectionEvent::Event));
    }
}
