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
mod happened;
mod losses;
mod receiving;
mod round_trip;
mod sending;
mod stats;
mod steps;
#[cfg(test)]
mod tests;
mod token;

use std::{sync::Arc, time::Duration};

pub use acks::{Arrival, InFlight, ReceiveWindow, SentPackage};
pub use config::Config;
pub use congestion::{Congestion, Quality};
pub use events::DispatchError;
pub(crate) use farewell::event as farewell_event;
pub use happened::ConnectionEvent;
pub use stats::{Gauges, Stats};
pub use token::Token;
pub(crate) use token::{EVENT_SIZE as TOKEN_EVENT_SIZE, event as token_event, in_event as token_in};

use crate::wire::Sqn;
pub(crate) use arrivals::NumberedArrivals;
use events::{IncomingBudget, OutgoingEvents};
use happened::Happened;
use round_trip::{Jitter, Overdue};

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
/// use std::{sync::Arc, time::Duration};
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
    /// Timing and limits, shared by all connections that have the same.
    pub config: Arc<Config>,
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
    happened: Happened,
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
    pub fn new(config: impl Into<Arc<Config>>) -> Self {
        let config = config.into();
        Self {
            congestion: Congestion::new(&config, 0.0),
            config,
            local_sequence: Sqn::ZERO,
            received: ReceiveWindow::default(),
            latency: 0.0,
            round_trip: None,
            jitter: Jitter::default(),
            stats: Stats::default(),
            status: Status::Disconnected,
            in_flight: InFlight::default(),
            overdue: Overdue::default(),
            outgoing: OutgoingEvents::default(),
            incoming: IncomingBudget::default(),
            happened: Happened::default(),
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
        let farewell = self.farewell.take()?;
        self.change(ConnectionEvent::Farewell(farewell.clone()));
        Some(farewell)
    }

    /// Drops a farewell that came: a client says none.
    pub(crate) fn refuse_farewell(&mut self) {
        self.stats.events_reserved += u64::from(self.farewell.take().is_some());
    }

    /// Ends the session for `reason`.
    pub(crate) fn end_session(&mut self, reason: &str) {
        self.change(ConnectionEvent::Farewell(reason.into()));
        self.set_status(Status::Disconnected);
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

    /// What became due by `now`: lost packages, the connection timeout, the congestion state.
    pub fn handle_timeout(&mut self, now: Duration) {
        self.expire(now);
        if now >= self.next_congestion_step {
            let quality = self.congestion.quality;
            self.congestion.step(&self.config, now.as_secs_f64(), self.latency);
            self.next_congestion_step = now + Duration::from_secs_f64(self.config.min_throttle_time / 2.0);
            if self.congestion.quality != quality {
                self.change(ConnectionEvent::Quality(self.congestion.quality));
            }
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
        let event = self.happened.pop()?;
        if let ConnectionEvent::Event(bytes) = &event {
            self.incoming.release(bytes.len());
        }
        Some(event)
    }

    /// Whether [`Self::poll_event`] has something.
    pub fn has_event(&self) -> bool {
        self.happened.len() > 0
    }

    /// Whether the other side is there.
    pub fn status(&self) -> Status {
        self.status
    }

    /// Sets the status; a change is an event.
    pub fn set_status(&mut self, status: Status) {
        if self.status != status {
            self.status = status;
            self.change(ConnectionEvent::Status(status));
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

    /// Packages that are neither acknowledged nor lost yet, oldest first.
    pub fn in_flight(&self) -> &InFlight {
        &self.in_flight
    }

    fn change(&mut self, change: ConnectionEvent) {
        self.stats.queue_full += self.happened.change(change, self.status) as u64;
    }
}
