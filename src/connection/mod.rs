//! One peer, sans-IO: acknowledgements, round trip time, congestion, events and their fate.
//!
//! A [`Connection`] knows no socket, no clock and no other connection. Packages and `now` come in as
//! arguments; packages to send and what happened come out as values. What a package carries besides
//! events (a time order, a state update) is the business of `endpoint`.

mod acks;
mod config;
mod congestion;
mod events;
mod stats;
#[cfg(test)]
mod tests;

use std::{collections::VecDeque, sync::Arc, time::Duration};

pub use acks::{Arrival, InFlight, ReceiveWindow, SentPackage};
pub use config::Config;
pub use congestion::{Congestion, Quality};
pub use events::DispatchError;
pub use stats::Stats;

use crate::wire::{Body, Header, Package, PackageWriter, Sqn, WireError};
use events::{IncomingBudget, Outgoing, OutgoingEvents};

/// Whom to tell what became of an event. Given out by whoever dispatches it.
pub type CallbackId = u64;

/// Share of a new round trip time in the smoothed one.
const LATENCY_GAIN: f64 = 0.1;
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
    /// Sending speed.
    pub congestion: Congestion,
    /// Counters.
    pub stats: Stats,
    status: Status,
    in_flight: InFlight,
    outgoing: OutgoingEvents,
    incoming: IncomingBudget,
    happened: VecDeque<ConnectionEvent>,
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
            congestion: Congestion::new(&config, 0.0),
            stats: Stats::default(),
            status: Status::Disconnected,
            in_flight: InFlight::default(),
            outgoing: OutgoingEvents::default(),
            incoming: IncomingBudget::default(),
            happened: VecDeque::new(),
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
        if event.len() > limit {
            return Err(DispatchError::TooLarge { size: event.len(), limit });
        }
        if !self.outgoing.push(&self.config, Outgoing { event, callback }) {
            self.stats.queue_full += 1;
            self.happened.extend(callback.map(ConnectionEvent::TimedOut));
        }
        Ok(())
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
            self.stats.events_received += 1;
            self.happened.push_back(ConnectionEvent::Event(event.into()));
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
        let mut writer = PackageWriter::new(out, header, body)?;
        let mut callbacks = Vec::new();
        for _ in 0..max_events {
            let Some(next) = self.outgoing.pop_if(|event| writer.push_event(event, limit)) else { break };
            self.stats.events_sent += 1;
            callbacks.extend(next.callback);
        }
        self.stats.sent += 1;
        self.stats.bytes_sent += writer.size() as u64;
        self.local_sequence = header.sequence;
        self.in_flight.push(SentPackage { sequence: header.sequence, at: now, callbacks, number: None });
        Ok(())
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
        self.outgoing.front_size()
    }

    /// What became due by `now`: lost packages, the connection timeout, the congestion state.
    pub fn handle_timeout(&mut self, now: Duration) {
        if let Some(before) = now.checked_sub(self.config.package_timeout) {
            while let Some(package) = self.in_flight.pop_sent_until(before) {
                self.stats.lost += 1;
                self.happened.extend(package.callbacks.into_iter().map(ConnectionEvent::TimedOut));
            }
        }
        if self.status == Status::Connected && self.silence(now) > self.config.timeout {
            self.set_status(Status::Disconnected);
        }
        if now >= self.next_congestion_step {
            let quality = self.congestion.quality;
            self.congestion.step(&self.config, now.as_secs_f64(), self.latency);
            self.next_congestion_step = now + Duration::from_secs_f64(self.config.min_throttle_time / 2.0);
            if self.congestion.quality != quality {
                self.happened.push_back(ConnectionEvent::Quality(self.congestion.quality));
            }
        }
    }

    /// When [`Self::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Duration {
        let lost = self.in_flight.oldest().map(|at| at + self.config.package_timeout);
        lost.unwrap_or(Duration::MAX).min(self.next_congestion_step)
    }

    /// Time between packages now: by quality, and slower to a peer that has gone silent.
    pub fn interval(&self, now: Duration) -> Duration {
        if self.last_heard.is_some() && self.silence(now) > SILENCE_BEFORE_DECAY {
            DECAYED_INTERVAL
        } else if self.congestion.fast {
            self.config.interval_good
        } else {
            self.config.interval_bad
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

    /// Forgets numbers, acknowledgements and round trip time, as for a peer never spoken to. What waits
    /// to be sent still waits; what was in flight has timed out.
    pub fn restart(&mut self, now: Duration) {
        self.fail_in_flight();
        self.local_sequence = Sqn::ZERO;
        self.received = ReceiveWindow::default();
        self.latency = 0.0;
        self.congestion = Congestion::new(&self.config, now.as_secs_f64());
        self.last_heard = None;
    }

    /// Takes in events of packages that were received before there was a connection.
    pub fn accept_held(&mut self, now: Duration, events: Vec<Box<[u8]>>) {
        self.last_heard = Some(now);
        for event in events {
            if self.incoming.admit(&self.config, std::iter::once(event.len())) {
                self.stats.events_received += 1;
                self.happened.push_back(ConnectionEvent::Event(event));
            } else {
                self.stats.queue_full += 1;
            }
        }
    }

    /// Gives up every event in flight or waiting: each callback hears of a timeout.
    pub fn abandon_events(&mut self) {
        self.fail_in_flight();
        self.happened
            .extend(self.outgoing.drain().filter_map(|out| out.callback).map(ConnectionEvent::TimedOut));
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
        let Self { in_flight, latency, round_trip: newest, stats, happened, arrived, .. } = self;
        in_flight.acknowledge(header, |package| {
            let round_trip = now.saturating_sub(package.at);
            *newest = Some(round_trip);
            *latency += LATENCY_GAIN * (round_trip.as_secs_f64() - *latency);
            stats.acknowledged += 1;
            arrived.extend(package.number);
            happened.extend(package.callbacks.into_iter().map(ConnectionEvent::Acknowledged));
        });
    }

    fn fail_in_flight(&mut self) {
        for package in self.in_flight.drain() {
            self.happened.extend(package.callbacks.into_iter().map(ConnectionEvent::TimedOut));
        }
    }
}
