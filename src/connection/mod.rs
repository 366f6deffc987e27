//! One peer, sans-IO: acknowledgements, round trip time, congestion, events and their fate.
//!
//! A [`Connection`] knows no socket, no clock and no other connection. Packages and `now` come in as
//! arguments; packages to send and what happened come out as values. What a package carries besides
//! events (a time order, a state update) is the business of `endpoint`.

mod acks;
mod arrivals;
mod config;
mod congestion;
mod events;
mod farewell;
mod round_trip;
mod stats;
mod steps;
#[cfg(test)]
mod tests;
mod token;

use std::{collections::VecDeque, sync::Arc, time::Duration};

pub use acks::{Arrival, InFlight, ReceiveWindow, SentPackage};
pub use config::Config;
pub use congestion::{Congestion, Quality};
pub use events::DispatchError;
pub(crate) use farewell::event as farewell_event;
pub use stats::{Gauges, Stats};
pub use token::Token;
pub(crate) use token::{EVENT_SIZE as TOKEN_EVENT_SIZE, event as token_event, in_event as token_in};

use crate::wire::{Body, EventNumber, Header, Package, PackageWriter, Sqn, WireError};
pub(crate) use arrivals::NumberedArrivals;
use arrivals::Taken;
use events::{IncomingBudget, Outgoing, OutgoingEvents};
use round_trip::{Jitter, Overdue, smoothed};

/// Whom to tell what became of an event. Given out by whoever dispatches it.
pub type CallbackId = u64;

/// After this long without a package from the other side, sending slows down.
const SILENCE_BEFORE_DECAY: Duration = Duration::from_secs(1);
/// Time between packages to a silent peer.
const DECAYED_INTERVAL: Duration = Duration::from_millis(200);

/// Whether the other side is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Status {
    /// Nothing has come for the connection timeout, or nothing was ever tried.
    #[default]
    Disconnected = 0,
    /// Packages come in.
    Connected = 1,
    /// Packages go out, none has come in yet.
    Connecting = 2,
}

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
    /// A server of ours has ended the session, for this reason; the status follows.
    Farewell(Box<str>),
}

/// What became of a package that came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receipt {
    /// Accepted, and the newest so far: what it reports is current.
    Newest,
    /// Accepted, but a newer one came before.
    Older,
    /// The other side is there and knows what arrived, but nobody takes the events: counts as never received.
    Refused,
    /// Dropped and counted.
    Dropped,
}

/// One peer.
///
/// ```
/// use std::time::Duration;
/// use pygase::{Connection, wire::{Body, Kind, Package, msgpack}};
/// use pygase::connection::ConnectionEvent;
///
/// let (mut left, mut right) = (Connection::default(), Connection::default());
/// left.dispatch(msgpack::event("HELLO", &[0x90], &[0x80]).into(), Some(7), 2034).unwrap();
///
/// let now = Duration::from_millis(0);
/// let mut datagram = Vec::new();
/// left.write_package(now, Body::Plain, 2048, 5, &mut datagram).unwrap();
/// right.receive(now, &Package::decode(Kind::Plain, &datagram).unwrap());
/// assert!(std::iter::from_fn(|| right.poll_event()).any(|event| matches!(event, ConnectionEvent::Event(_))));
///
/// let now = Duration::from_millis(20);
/// datagram.clear();
/// right.write_package(now, Body::Plain, 2048, 5, &mut datagram).unwrap();
/// left.receive(now, &Package::decode(Kind::Plain, &datagram).unwrap());
/// assert!(std::iter::from_fn(|| left.poll_event()).any(|event| event == ConnectionEvent::Acknowledged(7)));
/// ```
#[derive(Debug)]
pub struct Connection {
    /// Timing and limits.
    pub config: Config,
    /// Number of the newest package sent; 0 = none yet.
    pub local_sequence: Sqn,
    /// What has come in.
    pub received: ReceiveWindow,
    /// Smoothed round trip time in seconds.
    pub latency: f64,
    /// Newest round trip time that was not taken yet.
    round_trip: Option<Duration>,
    jitter: Jitter,
    /// Sending speed.
    pub congestion: Congestion,
    /// Counters.
    pub stats: Stats,
    status: Status,
    in_flight: InFlight,
    overdue: Overdue,
    outgoing: OutgoingEvents,
    incoming: IncomingBudget,
    happened: VecDeque<ConnectionEvent>,
    /// Whether events to the other side may have numbers: it is one of ours, or may turn out to be.
    numbers_events: bool,
    /// Number of the newest event that got one.
    event_number: u32,
    /// Since the first numbered event came.
    arrivals: Option<Box<NumberedArrivals>>,
    /// The token that a peer of ours gave.
    token: Option<Token>,
    /// Why the other side ends the session.
    farewell: Option<Box<str>>,
    arrived: Vec<u64>,
    last_heard: Option<Duration>,
    next_congestion_step: Duration,
}

impl Default for Connection {
    fn default() -> Self {
        Self::new(Config::default())
    }
}

impl Connection {
    /// A connection that has sent and received nothing.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            local_sequence: Sqn::ZERO,
            received: ReceiveWindow::default(),
            latency: 0.0,
            round_trip: None,
            jitter: Jitter::default(),
            congestion: Congestion::new(&config, 0.0),
            stats: Stats::default(),
            status: Status::Disconnected,
            in_flight: InFlight::default(),
            overdue: Overdue::default(),
            outgoing: OutgoingEvents::default(),
            incoming: IncomingBudget::default(),
            happened: VecDeque::new(),
            numbers_events: false,
            event_number: 0,
            arrivals: None,
            token: None,
            farewell: None,
            arrived: Vec::new(),
            last_heard: None,
            next_congestion_step: Duration::ZERO,
        }
    }

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

    /// The token that a peer of ours gave.
    pub(crate) fn token(&self) -> Option<Token> {
        self.token
    }

    /// Forgets that token.
    pub(crate) fn forget_token(&mut self) {
        self.token = None;
    }

    /// Why a peer of ours has just ended the session; an event says so, too.
    pub(crate) fn take_farewell(&mut self) -> Option<Box<str>> {
        let farewell = self.farewell.take();
        self.happened.extend(farewell.clone().map(ConnectionEvent::Farewell));
        farewell
    }

    /// Says whether events to the other side may have numbers.
    pub(crate) fn number_events(&mut self, may: bool) {
        self.numbers_events = may;
    }

    /// Lets the numbers of events begin after `base`, unless they have begun.
    pub(crate) fn number_events_from(&mut self, base: u32) {
        if self.event_number == 0 {
            self.event_number = base;
        }
    }

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
            match next.retries.checked_sub(1) {
                Some(retries) => package.again.push(Outgoing { retries, may_have_come: true, ..next }),
                None => package.callbacks.extend(next.callback),
            }
        }
        self.stats.sent += 1;
        self.stats.bytes_sent += writer.size() as u64;
        self.local_sequence = sequence;
        self.in_flight.push(package);
    }

    /// Names the body of the package sent last, to hear of it from [`Self::take_arrived`].
    pub fn number_newest(&mut self, number: u64) {
        self.in_flight.number_newest(number);
    }

    /// Takes out the names of bodies that were acknowledged.
    pub fn take_arrived(&mut self) -> impl Iterator<Item = u64> + '_ {
        self.arrived.drain(..)
    }

    /// Size in bytes of the first event that waits to be sent.
    pub fn next_event_size(&self) -> Option<usize> {
        let next = self.outgoing.front()?;
        let number = next.number.filter(|_| self.numbers_events);
        Some(next.event.len() + number.map_or(0, EventNumber::size))
    }

    /// What became due by `now`: lost packages, the connection timeout, the congestion state.
    pub fn handle_timeout(&mut self, now: Duration) {
        self.expire(now);
        if now >= self.next_congestion_step {
            let quality = self.congestion.quality;
            self.congestion.step(&self.config, now.as_secs_f64(), self.latency);
            self.next_congestion_step = now + Duration::from_secs_f64(self.config.min_throttle_time / 2.0);
            if self.congestion.quality != quality {
                self.happened.push_back(ConnectionEvent::Quality(self.congestion.quality));
            }
        }
    }

    /// What is lost by `now`: packages, and the other side when it was silent for too long. Events that waited in
    /// vain for those before them are handed on.
    pub fn expire(&mut self, now: Duration) {
        if let Some(before) = now.checked_sub(self.config.package_timeout) {
            let lost: Vec<_> = std::iter::from_fn(|| self.in_flight.pop_sent_until(before)).collect();
            self.stats.lost += lost.len() as u64;
            for package in &lost {
                self.overdue.push(package.sequence, package.at);
            }
            self.lose(lost);
        }
        if let Some(arrivals) = &mut self.arrivals {
            let mut ready = Vec::new();
            arrivals.expire(now, &mut ready);
            self.happened.extend(ready.into_iter().map(ConnectionEvent::Event));
        }
        if self.status == Status::Connected && self.silence(now) > self.config.timeout {
            self.set_status(Status::Disconnected);
        }
    }

    /// When [`Self::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Duration {
        let lost = self.in_flight.oldest().map(|at| at + self.config.package_timeout);
        let held = self.arrivals.as_ref().and_then(|arrivals| arrivals.due());
        lost.into_iter().chain(held).fold(self.next_congestion_step, Duration::min)
    }

    /// Time between packages now: by quality, and slower to a peer that has gone silent.
    pub fn interval(&self, now: Duration) -> Duration {
        if self.last_heard.is_some() && self.silence(now) > SILENCE_BEFORE_DECAY {
            DECAYED_INTERVAL
        } else {
            self.nominal_interval()
        }
    }

    /// What happened next, oldest first.
    pub fn poll_event(&mut self) -> Option<ConnectionEvent> {
        let event = self.happened.pop_front()?;
        if let ConnectionEvent::Event(bytes) = &event {
            self.incoming.release(bytes.len());
        }
        Some(event)
    }

    /// Whether [`Self::poll_event`] has something.
    pub fn has_event(&self) -> bool {
        !self.happened.is_empty()
    }

    /// Whether the other side is there.
    pub fn status(&self) -> Status {
        self.status
    }

    /// Sets the status; a change is an event.
    pub fn set_status(&mut self, status: Status) {
        if self.status != status {
            self.status = status;
            self.happened.push_back(ConnectionEvent::Status(status));
        }
    }

    /// The round trip time of the newest acknowledged package, once.
    pub fn take_round_trip(&mut self) -> Option<Duration> {
        self.round_trip.take()
    }

    /// How long nothing has come in; zero before anything came.
    pub fn silence(&self, now: Duration) -> Duration {
        self.last_heard.map_or(Duration::ZERO, |heard| now.saturating_sub(heard))
    }

    /// Forgets numbers of packages, acknowledgements and round trip time, as for a peer never spoken to. What waits
    /// to be sent still waits; what was in flight is lost.
    pub fn restart(&mut self, now: Duration) {
        self.lose_in_flight();
        self.local_sequence = Sqn::ZERO;
        self.received = ReceiveWindow::default();
        self.latency = 0.0;
        self.jitter = Jitter::default();
        self.overdue.clear();
        self.congestion = Congestion::new(&self.config, now.as_secs_f64());
        self.last_heard = None;
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

    /// Gives up every event in flight or waiting: each callback hears of a timeout.
    pub fn abandon_events(&mut self) {
        let in_flight = self.in_flight.drain().flat_map(SentPackage::into_callbacks);
        let waiting = self.outgoing.drain().filter_map(|out| out.callback);
        self.happened.extend(in_flight.chain(waiting).map(ConnectionEvent::TimedOut));
    }

    /// Gives up events in flight or waiting that are not to be sent again; the others wait.
    pub fn abandon_unretried(&mut self) {
        self.abandon_but(|outgoing| outgoing.retries > 0);
    }

    /// Gives up events that may have come to the other side, which will not know them again; the others wait.
    pub(crate) fn abandon_doubtful(&mut self) {
        self.abandon_but(|outgoing| !outgoing.may_have_come);
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

    /// Packages that are neither acknowledged nor lost yet, oldest first.
    pub fn in_flight(&self) -> &InFlight {
        &self.in_flight
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
            arrived.extend(package.number);
            happened.extend(package.into_callbacks().map(ConnectionEvent::Acknowledged));
        });
    }

    /// Takes in an event for which there is room.
    fn take_in(&mut self, now: Duration, event: Box<[u8]>) {
        if let Some(token) = token::in_event(&event) {
            self.incoming.release(event.len());
            // From one that counts as an original, because its hello got lost, it is no event either.
            self.token = self.numbers_events.then_some(token).or(self.token);
            return;
        }
        if let Some(reason) = farewell::in_event(&event) {
            self.incoming.release(event.len());
            self.farewell = self.numbers_events.then(|| reason.into()).or(self.farewell.take());
            return;
        }
        self.stats.events_received += 1;
        let Some(number) = EventNumber::of(&event) else {
            self.happened.push_back(ConnectionEvent::Event(event));
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

    fn abandon_but(&mut self, stays: impl Fn(&Outgoing) -> bool) {
        self.lose_in_flight();
        self.happened.extend(self.outgoing.retain(stays).into_iter().map(ConnectionEvent::TimedOut));
    }

    /// Has what was in lost packages sent again before anything else, or tells that it is lost.
    fn lose(&mut self, packages: Vec<SentPackage>) {
        let mut again = Vec::new();
        for package in packages {
            self.happened.extend(package.callbacks.into_iter().map(ConnectionEvent::TimedOut));
            again.extend(package.again);
        }
        for event in again.into_iter().rev() {
            if let Err(event) = self.outgoing.put_back(&self.config, event) {
                self.stats.queue_full += 1;
                self.happened.extend(event.callback.map(ConnectionEvent::TimedOut));
            }
        }
    }

    fn lose_in_flight(&mut self) {
        let packages = self.in_flight.drain().collect();
        self.lose(packages);
    }
}
