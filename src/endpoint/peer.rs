//! A client as its server sees it.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{
    HELLO, MAX_SERVER_EVENT, SERVER_PREFIX, admission::Proven, datagram_limit, events_per_package,
    largest_event,
};
use crate::{
    connection::{
        Arrival, CallbackId, Config, Connection, ConnectionEvent, DispatchError, NumberedArrivals, Quality,
        Receipt, Status, TOKEN_EVENT_SIZE, Token, farewell_event, token_event,
    },
    state::{PeerKind, Store, View},
    wire::{
        Body, Header, Package, PackageWriter, Sqn,
        limits::{MAX_DATAGRAM, TARGET_DATAGRAM},
    },
};

/// What may be sent to a fresh connection before it has acknowledged two packages, in bytes; beyond it,
/// packages carry neither state nor events.
const EARLY_CREDIT: u64 = 4096;
/// Acknowledged packages that lift the early credit.
const EARLY_ACKS: u8 = 2;
/// An event that would leave less than this for the state goes without it.
const MIN_STATE_BUDGET: usize = 64;
/// Packages in flight beyond which a large state comes at one package per interval.
const MAX_BURST: usize = 48;
/// The least size of packages that leaves room for anything.
const MIN_PACKAGE: usize = 256;
/// How far an acknowledged number may lie behind the newest acknowledged before: packages are late by no more than
/// the window. While a large state comes, several go out in an interval.
const MAX_ACK_REGRESS: (i32, i32) = (32, 128);
/// How far a number may jump ahead, at once and per second of silence.
const MAX_JUMP: (f64, f64) = (64.0, 45.0);
/// How long after the beginning of a session packages from before it may still come.
const STRAGGLERS: Duration = Duration::from_secs(3);

/// A connection to a client, and what the server knows of the client's game state.
///
/// Made by a [`ServerEndpoint`](super::ServerEndpoint) for an address that has proven itself, or by hand.
///
/// ```
/// use pygase::{ServerConnection, connection::{Config, Status}, wire::{Sqn, msgpack}};
///
/// let mut connection = ServerConnection::new(Config::default(), Sqn::ZERO);
/// connection.dispatch(msgpack::event("WELCOME", &[0x90], &[0x80]).into(), None).unwrap();
/// assert_eq!(connection.connection().status(), Status::Disconnected);
/// assert!(connection.dispatch(vec![0xc0; 2018].into(), None).is_err(), "at most 2017 bytes");
/// ```
#[derive(Debug)]
pub struct ServerConnection {
    /// Newest time order the client has reported.
    pub last_client_time_order: Sqn,
    connection: Connection,
    /// `None` while no server drives this connection.
    view: Option<View>,
    driver: Driver,
    /// How often an endpoint has begun to drive it.
    stay: u64,
    hello: bool,
    /// By which the client may take the session to another address.
    token: Option<Token>,
    /// The token goes into each package, until the client acknowledges one after this number.
    given_after: Option<Sqn>,
    /// Newest number that the client has acknowledged in its session.
    newest_ack: Option<Sqn>,
    /// The last package was full of a state that is too large for it.
    bursts: bool,
    /// Newest number sent and bytes sent when the session began.
    begun_at: (Sqn, u64),
    /// How many numbers sent since then the client has acknowledged, counted up to [`EARLY_ACKS`].
    early_acks: u8,
    /// When that was.
    began: Duration,
    /// The last package had no room for the state beside its event.
    state_gave_way: bool,
    restart_candidate: Option<RestartCandidate>,
    /// When the host asked for a shutdown, and how many packages came since.
    shutdown_asked: Option<(Duration, u32)>,
}

/// What outlives a session with a client of ours.
#[derive(Debug)]
pub(super) struct Lapsed {
    /// Of the session.
    pub(super) token: Token,
    /// Which events came, so that none is handed on again.
    pub(super) arrivals: Box<NumberedArrivals>,
}

/// A client that seems to have started anew on its old port.
#[derive(Clone, Copy, Debug)]
struct RestartCandidate {
    /// Newest number sent when it first came: acknowledging a later one is the proof.
    base: Sqn,
    /// It always says that it is one of ours.
    hello: bool,
    /// It came when the client had been lost: no copy of what that said when it first came.
    after_loss: bool,
}

/// Who decides when a package goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Driver {
    Server,
    Hand,
    /// No server has it any more, and nobody will come back to it.
    Nobody,
}

/// Whether a datagram belongs to the session of its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Belongs {
    Yes,
    No,
    /// It proves that the client has started anew.
    Restarted,
}

impl ServerConnection {
    /// A connection that no server drives.
    pub fn new(config: Config, last_client_time_order: Sqn) -> Self {
        Self {
            last_client_time_order,
            connection: Connection::new(config),
            view: None,
            driver: Driver::Server,
            stay: 0,
            hello: false,
            token: None,
            given_after: None,
            newest_ack: None,
            bursts: false,
            begun_at: (Sqn::ZERO, 0),
            early_acks: 0,
            began: Duration::ZERO,
            state_gave_way: false,
            restart_candidate: None,
            shutdown_asked: None,
        }
    }

    /// What it shares with every connection.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// What it shares with every connection.
    pub fn connection_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// Whether the client is one of ours.
    pub fn hello(&self) -> bool {
        self.hello
    }

    /// Queues a msgpacked event of at most [`MAX_SERVER_EVENT`] bytes.
    ///
    /// For a client that has gone, `callback` hears of a timeout at once.
    pub fn dispatch(&mut self, event: Arc<[u8]>, callback: Option<CallbackId>) -> Result<(), DispatchError> {
        self.dispatch_retried(event, callback, 0)
    }

    /// [`Self::dispatch`] of an event that is sent again up to `retries` times when it gets lost. To a client of
    /// ours that has gone, it waits until it comes back or is forgotten.
    pub fn dispatch_retried(
        &mut self,
        event: Arc<[u8]>,
        callback: Option<CallbackId>,
        retries: u32,
    ) -> Result<(), DispatchError> {
        let largest = largest_event(&self.connection.config, MAX_SERVER_EVENT);
        self.connection.dispatch_retried(event, callback, retries, largest)?;
        if self.view.is_some()
            && self.driver != Driver::Hand
            && self.connection.status() == Status::Disconnected
        {
            self.lose_client();
        }
        Ok(())
    }

    /// Gives up what was to be sent to a client that has gone; retried events wait for one of ours.
    pub(super) fn lose_client(&mut self) {
        if self.hello && self.driver == Driver::Server {
            self.connection.abandon_unretried();
        } else {
            self.connection.abandon_events();
        }
    }

    /// Ends the session for good: every event to the client has timed out.
    pub(super) fn end(&mut self) {
        self.driver = Driver::Nobody;
        self.connection.set_status(Status::Disconnected);
        self.connection.hand_on_held();
        self.connection.abandon_events();
    }

    /// Whether its session has ended for good.
    pub(super) fn has_ended(&self) -> bool {
        self.driver == Driver::Nobody
    }

    /// By which an endpoint knows whether it still drives this connection.
    pub(super) fn stay(&self) -> u64 {
        self.stay
    }

    /// Makes the caller the one that drives it: its stay.
    pub(super) fn claim(&mut self) -> u64 {
        self.stay += 1;
        self.stay
    }

    /// Takes out what is to be remembered of a session with a client of ours that has ended.
    pub(super) fn take_lapsed(&mut self) -> Option<Lapsed> {
        Some(Lapsed { token: self.token?, arrivals: self.connection.replace_arrivals(None)? })
    }

    /// Begins a session with a client that has proven its address. One of ours is given `token`.
    pub(super) fn begin(&mut self, now: Duration, mut proven: Proven, token: Token, store: &Store) {
        self.connection.replace_arrivals(proven.arrivals.take());
        self.connection.number_events(proven.hello);
        self.connection.number_events_from(proven.event_base);
        self.hello = proven.hello;
        self.token = proven.hello.then_some(token);
        let kind = if proven.hello { PeerKind::Ours } else { PeerKind::Original };
        let view = View::new(store, kind).starting_from(proven.time_order);
        self.view = Some(if proven.returning { view.returning() } else { view });
        self.go_on(now, proven, store);
        self.given_after = self.token.map(|_| self.connection.local_sequence);
    }

    /// Goes on with a client that has proven another address: what was in flight is lost, all else is as it was.
    pub(super) fn go_on(&mut self, now: Duration, proven: Proven, store: &Store) {
        self.connection.restart(now);
        self.began = now;
        self.begun_at = (proven.local_sequence, self.connection.stats.bytes_sent);
        self.early_acks = 0;
        self.connection.local_sequence = proven.local_sequence;
        self.connection.received = proven.window;
        // The proof may be older than what came before it, and then reports nothing.
        if let Some(view) = &mut self.view {
            view.report(proven.time_order, store);
        }
        self.connection.set_status(Status::Connected);
        self.connection.accept_held(now, proven.held);
        self.newest_ack = None;
        self.restart_candidate = None;
        self.shutdown_asked = None;
        self.driver = Driver::Server;
    }

    /// By which the client may take the session to another address.
    pub(super) fn token(&self) -> Option<Token> {
        self.token
    }

    /// Whether a package can be part of the session, judged by its header.
    pub(super) fn belongs(&mut self, now: Duration, package: &Package<'_>) -> Belongs {
        let header = &package.header;
        let local = self.connection.local_sequence;
        let lost = self.connection.status() == Status::Disconnected;
        if header.ack == Sqn::ZERO {
            let young = now.saturating_sub(self.began) < STRAGGLERS;
            if young && self.connection.received.classify(header.sequence) == Arrival::Older {
                return Belongs::No;
            }
            // A client that acknowledges nothing has started anew, or is a fresh one.
            let fresh = RestartCandidate { base: local, hello: true, after_loss: false };
            let candidate = self.restart_candidate.get_or_insert(fresh);
            candidate.hello &= header.ack_bitfield == HELLO;
            candidate.after_loss |= lost;
            return Belongs::No;
        }
        let (usual, in_bulk) = MAX_ACK_REGRESS;
        let regress = if self.bursts { in_bulk } else { usual };
        let oldest = self.newest_ack.unwrap_or(header.ack);
        if local.since(header.ack) < 0 || oldest.since(header.ack) > regress {
            return Belongs::No;
        }
        let ahead = header.sequence.since(self.connection.received.newest);
        let (at_once, per_second) = MAX_JUMP;
        let plausible = f64::from(ahead) <= at_once + per_second * self.connection.silence(now).as_secs_f64();
        let fits = plausible
            && matches!(self.connection.received.classify(header.sequence), Arrival::Newest | Arrival::Older);
        match self.restart_candidate {
            // A package of the session before would either be news to it, or acknowledge nothing so new.
            Some(RestartCandidate { base, after_loss, .. })
                if header.ack.newer_than(base) && (!fits || lost && after_loss) =>
            {
                Belongs::Restarted
            }
            _ if plausible => Belongs::Yes,
            _ => Belongs::No,
        }
    }

    /// Begins anew with a client that has, under the same address. Numbers to it go on as they were.
    pub(super) fn begin_anew(&mut self, now: Duration, token: Token, time_order: Sqn, store: &Store) {
        let proven = Proven {
            local_sequence: self.connection.local_sequence,
            window: crate::connection::ReceiveWindow::default(),
            time_order,
            hello: self.restart_candidate.is_some_and(|candidate| candidate.hello),
            returning: true,
            event_base: 0,
            arrivals: None,
            held: Vec::new(),
        };
        self.begin(now, proven, token, store);
    }

    /// Appends an answer to a client that acknowledges nothing and reports `time_order`, if nothing else is
    /// sent to it any more: only with a number to acknowledge can it prove that it has started anew. Changes
    /// nothing at the client and is at most three times as long as what it answers.
    pub(super) fn answer_candidate(&mut self, now: Duration, time_order: Sqn, out: &mut Vec<u8>) {
        let Some(candidate) = self.restart_candidate else { return };
        if self.view.is_none() || self.connection.status() != Status::Disconnected {
            return;
        }
        let header = Header {
            sequence: self.connection.local_sequence.next(),
            ack: Sqn::ZERO,
            ack_bitfield: if candidate.hello { HELLO } else { 0 },
        };
        let update = super::empty_update(time_order);
        let body = Body::Server { update: &update };
        // An update of its time order alone always fits.
        let _ = self.connection.write_package_with(now, header, body, TARGET_DATAGRAM, 0, out);
    }

    /// Appends the last package of a session to a client of ours that is there: it is told why.
    pub(super) fn write_farewell(&mut self, now: Duration, reason: &str, out: &mut Vec<u8>) {
        if !self.hello || self.connection.status() != Status::Connected {
            return;
        }
        let header =
            Header { sequence: self.connection.local_sequence.next(), ..self.connection.acknowledgement() };
        let update = super::empty_update(self.last_client_time_order);
        write_farewell(header, &update, reason, out);
        self.connection.fill_package(now, header.sequence, MAX_DATAGRAM, 0, out, 0);
    }

    /// Takes in a package of the session.
    pub(super) fn receive(&mut self, now: Duration, package: &Package<'_>, store: &Store) {
        let receipt = self.connection.receive(now, package);
        if let Some(view) = &mut self.view {
            self.connection.take_arrived().for_each(|number| view.arrived(number));
        }
        let ack = package.header.ack;
        if receipt != Receipt::Dropped && self.newest_ack.is_none_or(|newest| ack.newer_than(newest)) {
            self.newest_ack = Some(ack);
            // By number and not by what is in flight: on a slow line every package is acknowledged after its time.
            if ack.newer_than(self.begun_at.0) && self.early_acks < EARLY_ACKS {
                self.early_acks += 1;
            }
        }
        if self.given_after.is_some_and(|after| ack.newer_than(after)) {
            self.given_after = None;
        }
        let Body::Client { time_order } = package.body else { return };
        if receipt == Receipt::Newest {
            self.restart_candidate = None;
            self.last_client_time_order = time_order;
            if let Some(view) = &mut self.view {
                view.report(time_order, store);
            }
            if let Some((_, packages)) = &mut self.shutdown_asked {
                *packages += 1;
            }
        }
    }

    /// Appends the next package to `out`. `scratch` is room to build the update in.
    pub(super) fn write_package(
        &mut self,
        now: Duration,
        store: &mut Store,
        scratch: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) {
        let early = self.is_early();
        scratch.clear();
        let number = self.write_update(now, store, early, scratch);
        if scratch.is_empty() {
            return;
        }
        let events_before = self.connection.stats.events_sent;
        let event = self.connection.next_event_size();
        let token = self.token_to_give();
        let without_events = self.prefix() + scratch.len();
        let limit = datagram_limit(&self.connection.config, self.target(), without_events, event);
        let header =
            Header { sequence: self.connection.local_sequence.next(), ..self.connection.acknowledgement() };
        let start = out.len();
        let written = PackageWriter::new(out, header, Body::Server { update: scratch }).map(|mut writer| {
            token.map(|token| writer.push_event(&token_event(&token), MAX_DATAGRAM));
        });
        if written.is_err() {
            self.connection.stats.queue_full += 1;
            return;
        }
        let events = if early { 0 } else { events_per_package(self.hello) };
        self.connection.fill_package(now, header.sequence, limit, events, out, start);
        if let Some(number) = number
            && self.hello
            && token.is_none()
            && self.connection.stats.events_sent == events_before
        {
            // A client of ours acknowledges a package without events only if it has merged what is in it.
            self.connection.number_newest(number);
        }
    }

    /// Takes in a package that somebody else received, by hand.
    pub fn receive_by_hand(&mut self, now: Duration, package: &Package<'_>) -> Receipt {
        self.driver = Driver::Hand;
        let receipt = self.connection.receive(now, package);
        if let (Receipt::Newest, Body::Client { time_order }) = (receipt, package.body) {
            self.last_client_time_order = time_order;
        }
        receipt
    }

    /// Appends to `out` the update for the next package that somebody else sends, by hand.
    pub fn update_by_hand(&mut self, now: Duration, store: &mut Store, out: &mut Vec<u8>) {
        self.driver = Driver::Hand;
        let reported = self.last_client_time_order;
        let fresh = || View::new(store, PeerKind::Original).starting_from(reported);
        self.view.get_or_insert_with(fresh).report(reported, store);
        self.write_update(now, store, false, out);
    }

    /// The token, until it is known to have arrived.
    fn token_to_give(&self) -> Option<Token> {
        self.token.filter(|_| self.given_after.is_some())
    }

    /// What a package has besides its update and events.
    fn prefix(&self) -> usize {
        SERVER_PREFIX + self.token_to_give().map_or(0, |_| 2 + TOKEN_EVENT_SIZE)
    }

    /// The size a package to this client aims at.
    fn target(&self) -> usize {
        let config = &self.connection.config;
        config.package_size.clamp(MIN_PACKAGE, MAX_DATAGRAM).min(config.max_datagram)
    }

    /// Appends the next update to `scratch`, nothing where there is no view; gives the number of what it is a
    /// part of.
    fn write_update(
        &mut self,
        now: Duration,
        store: &mut Store,
        early: bool,
        scratch: &mut Vec<u8>,
    ) -> Option<u64> {
        let (target, prefix) = (self.target(), self.prefix());
        let view = self.view.as_mut()?;
        let largest = self.connection.config.max_datagram.min(MAX_DATAGRAM);
        let event = self.connection.next_event_size();
        let taken = prefix + event.map_or(0, |size| 2 + size);
        // The first event has precedence, but not twice in a row: events without end must not starve the state.
        let budget = if self.state_gave_way {
            target.checked_sub(prefix)
        } else {
            target.checked_sub(taken).filter(|budget| *budget >= MIN_STATE_BUDGET)
        };
        let budget = budget.filter(|_| !early);
        let mut number = None;
        if let Some(budget) = budget {
            number = view.write_update(store, now, budget, scratch);
        }
        let fits = event.is_none() || taken + scratch.len() <= largest || self.state_gave_way;
        self.state_gave_way = !early && (budget.is_none() || !fits);
        if budget.is_none() || !fits {
            // What has no room beside the event, a value that cannot be split perhaps, comes with the next package.
            scratch.clear();
            view.empty_update(now, scratch);
            number = None;
        }
        self.bursts = self.hello && number.is_some() && view.has_more();
        number
    }

    /// Whether the next package may follow in less than an interval: there is more of a large state for a client
    /// of ours than a package can take, and the line is good.
    pub(super) fn may_burst(&self) -> bool {
        let connection = &self.connection;
        self.bursts
            && connection.congestion.fast
            && connection.congestion.quality == Quality::Good
            && self.early_acks >= EARLY_ACKS
            && connection.in_flight().len() < MAX_BURST
    }

    /// Whether the client has been sent its credit without having shown twice that it receives it.
    fn is_early(&self) -> bool {
        self.early_acks < EARLY_ACKS && self.connection.stats.bytes_sent - self.begun_at.1 >= EARLY_CREDIT
    }

    /// Notes that the client asked for a shutdown; says whether it is there to have asked. Of one that was lost,
    /// nothing would show that somebody else did.
    pub(super) fn ask_shutdown(&mut self, now: Duration) -> bool {
        let connected = self.connection.status() == Status::Connected;
        if connected {
            self.shutdown_asked.get_or_insert((now, 0));
        }
        connected
    }

    /// Whether a shutdown the client asked for is due: it said so and fell silent. `None` when it did not
    /// fall silent, so that somebody else said so in its name.
    pub(super) fn shutdown_due(&mut self, now: Duration) -> Option<bool> {
        /// An original sends at most one more package after its request.
        const MAX_PACKAGES_AFTER: u32 = 1;
        const WAIT: Duration = Duration::from_millis(300);
        let (asked, packages) = self.shutdown_asked?;
        if packages > MAX_PACKAGES_AFTER {
            self.shutdown_asked = None;
            return Some(false);
        }
        (now.saturating_sub(asked) >= WAIT).then(|| {
            self.shutdown_asked = None;
            true
        })
    }

    /// Revision up to which this client needs no tombstones.
    pub(super) fn floor(&self) -> Option<crate::state::Revision> {
        self.view.as_ref().map(View::floor)
    }
}

/// Appends a package that tells a client of ours why there is no session with it.
pub(super) fn write_farewell(header: Header, update: &[u8], reason: &str, out: &mut Vec<u8>) {
    // An empty update and a reason always fit.
    let _ = PackageWriter::new(out, header, Body::Server { update })
        .map(|mut writer| writer.push_event(&farewell_event(reason), MAX_DATAGRAM));
}

/// A client and its address, shared by the endpoint that drives it and whoever handles its events.
#[derive(Debug)]
pub struct Peer {
    address: Mutex<SocketAddr>,
    /// Unlike any other peer's of this process, never 0.
    pub tag: u64,
    connection: Mutex<ServerConnection>,
    /// Somebody has been told that there are events to poll.
    announced: AtomicBool,
}

impl Peer {
    /// A peer that no server drives.
    pub fn new(address: SocketAddr, connection: ServerConnection) -> Arc<Self> {
        static NEXT_TAG: AtomicU64 = AtomicU64::new(1);
        Arc::new(Self {
            address: Mutex::new(address),
            tag: NEXT_TAG.fetch_add(1, Ordering::Relaxed),
            connection: Mutex::new(connection),
            announced: AtomicBool::new(false),
        })
    }

    /// Where its packages come from.
    pub fn address(&self) -> SocketAddr {
        *self.address.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note that its packages come from another address.
    pub(super) fn set_address(&self, address: SocketAddr) {
        *self.address.lock().unwrap_or_else(PoisonError::into_inner) = address;
    }

    /// Its connection. Held for short sections only: the packet path waits for it.
    pub fn lock(&self) -> MutexGuard<'_, ServerConnection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes out everything that happened, oldest first.
    pub fn take_events(&self, into: &mut Vec<ConnectionEvent>) {
        let mut connection = self.lock();
        self.announced.store(false, Ordering::Release);
        into.extend(std::iter::from_fn(|| connection.connection.poll_event()));
    }

    /// Lets the next event be announced, though those before were never taken: whoever was told is gone.
    pub(super) fn forget_announcement(&self) {
        self.announced.store(false, Ordering::Release);
    }

    /// Whether this is the first call since events were taken.
    pub(super) fn announce(&self) -> bool {
        !self.announced.swap(true, Ordering::AcqRel)
    }
}
