//! A client's connection to its server.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use super::{
    CLIENT_PREFIX, HELLO, MAX_CLIENT_EVENT, SHUTDOWN, datagram_limit, events_per_package, largest_event,
};
use crate::{
    connection::{
        CallbackId, Config, Connection, DispatchError, Receipt, Status, TOKEN_EVENT_SIZE, token_event,
    },
    state::Replica,
    wire::{Body, Header, Kind, Package, PackageWriter, Sqn, limits::MAX_DATAGRAM},
};

/// After this long without an answer the caller is told, once.
const UNANSWERED: Duration = Duration::from_secs(1);
/// After this long without an answer packages go out at [`SLOW_INTERVAL`] only.
const EAGER: Duration = Duration::from_secs(5);
/// Time between packages to a server that does not answer.
const SLOW_INTERVAL: Duration = Duration::from_millis(200);
/// After this long without a package the game state is asked for as a whole.
const RESYNC_AFTER: Duration = Duration::from_secs(1);
/// A server whose numbers leap this far has not sent what lies between: another one has taken its place, and what
/// our copy of the state has may be gone there.
const LEAP: i32 = super::admission::LEAP as i32;
/// With how many packages that do not answer it a client leaves off saying hello again. An original acknowledges it
/// without an answer, and ends it so within a round trip.
const GREETING: u32 = 120;
/// This many packages after the state was asked for as a whole, nothing made before can still arrive.
const STRAGGLERS: i32 = 1000;
/// The size of an update with nothing in it.
const EMPTY_UPDATE: usize = 17;
/// Time between packages to a server that was lost.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);
/// Why a server that may be back soon sends its clients away, and how many probes from one port they send then, every
/// [`SLOW_INTERVAL`].
const SHUT_DOWN: &str = "shutdown";
const PROBES_AFTER_SHUTDOWN: u32 = 25;
/// How long a client that was sent away for another reason stays away.
const REST: Duration = Duration::from_secs(5);
/// Probes from one port. A lower sequence number from the same port would kill an original server.
const PROBES_PER_PORT: u32 = 3;
/// How long a request for shutdown waits until the server is known to be there.
const SHUTDOWN_WAIT: Duration = Duration::from_secs(1);
/// Copies of the request for shutdown, and the time between them.
const SHUTDOWN_COPIES: (u32, Duration) = (3, Duration::from_millis(50));

/// What a client asks of its driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAction {
    /// Go on from a new local port.
    FreshPort,
    /// Nothing has answered yet: tell the user. Said once for each [`ClientConnection::connect`].
    Unanswered,
    /// The connection has ended; nothing more will be sent.
    Closed,
}

/// Says hello again, though there is something to acknowledge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Greeting {
    /// The number of the first package that does.
    first: Sqn,
    /// Packages of the server that may still come without an answer.
    left: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Idle,
    Running,
    /// The server has ended the session: what it sent before that comes too late.
    SentAway,
    /// Waits until the server is known to be there, then asks it to stop.
    ShuttingDown {
        since: Duration,
        copies: u32,
    },
    Closed,
}

/// A connection to a server, and the client's copy of the game state.
///
/// ```
/// use std::time::Duration;
/// use pygase::{ClientConnection, connection::Status, wire::{Body, Kind, Package, Sqn}};
///
/// let mut client = ClientConnection::default();
/// client.connect(Duration::ZERO);
/// assert_eq!(client.connection().status(), Status::Connecting);
/// let mut datagram = Vec::new();
/// assert!(client.poll_transmit(Duration::ZERO, &mut datagram));
/// let package = Package::decode(Kind::Client, &datagram).unwrap();
/// assert_eq!((package.header.sequence, package.body), (Sqn::new(1), Body::Client { time_order: Sqn::ZERO }));
/// ```
#[derive(Debug)]
pub struct ClientConnection {
    connection: Connection,
    replica: Replica,
    phase: Phase,
    server_is_ours: bool,
    /// It was, and then did not answer a hello: its answer may still be on the way.
    server_was_ours: bool,
    /// Until when to say hello again, though there is something to acknowledge.
    greeting: Option<Greeting>,
    /// The session is shown to the server by its token in each package, until it acknowledges one after this number.
    presented_after: Option<Sqn>,
    /// Newest number sent when the state was asked for as a whole. Updates in packages that acknowledge nothing
    /// sent since were made for the copy as it was.
    asked_after: Option<Sqn>,
    /// Number of the package whose update was merged last, if any was since then.
    merged: Option<Sqn>,
    /// Of the newest package that came in.
    last_header: Header,
    next_send: Duration,
    /// When the present attempt to reach the server began.
    trying_since: Duration,
    unanswered_said: bool,
    /// Packages sent from this port since the server was lost.
    probes: u32,
    actions: VecDeque<ClientAction>,
    /// When the copy of the state last changed.
    state_at: Duration,
}

impl Default for ClientConnection {
    fn default() -> Self {
        Self::new(Config::default())
    }
}

impl ClientConnection {
    /// A connection to nowhere yet, with an empty game state.
    pub fn new(config: Config) -> Self {
        Self {
            connection: Connection::new(config),
            replica: Replica::new(),
            phase: Phase::Idle,
            server_is_ours: false,
            server_was_ours: false,
            greeting: None,
            presented_after: None,
            asked_after: None,
            merged: None,
            last_header: Header::default(),
            next_send: Duration::ZERO,
            trying_since: Duration::ZERO,
            unanswered_said: false,
            probes: 0,
            actions: VecDeque::new(),
            state_at: Duration::ZERO,
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

    /// The client's copy of the game state.
    pub fn replica_mut(&mut self) -> &mut Replica {
        &mut self.replica
    }

    /// When the newest update of the game state came.
    pub fn state_at(&self) -> Duration {
        self.state_at
    }

    /// Whether the server is one of ours.
    pub fn hello(&self) -> bool {
        self.server_is_ours
    }

    /// Begins to send; the first package is due at once.
    pub fn connect(&mut self, now: Duration) {
        self.connection.restart(now);
        self.connection.replace_arrivals(None);
        self.connection.number_events(true);
        self.connection.forget_token();
        self.greeting = None;
        self.presented_after = None;
        self.last_header = Header::default();
        self.resync();
        self.connection.set_status(Status::Connecting);
        self.phase = Phase::Running;
        self.server_is_ours = false;
        self.server_was_ours = false;
        self.next_send = now;
        self.trying_since = now;
        self.unanswered_said = false;
        self.probes = 0;
    }

    /// Ends the connection, at once or, with `shut_down_server`, after asking the server to stop.
    pub fn disconnect(&mut self, now: Duration, shut_down_server: bool) {
        match self.phase {
            Phase::Running if shut_down_server => {
                self.phase = Phase::ShuttingDown { since: now, copies: 0 };
                self.next_send = now;
            }
            Phase::ShuttingDown { .. } if shut_down_server => {}
            Phase::Idle | Phase::Running | Phase::SentAway | Phase::ShuttingDown { .. } => self.close(),
            Phase::Closed => {}
        }
    }

    /// Queues a msgpacked event of at most [`MAX_CLIENT_EVENT`] bytes.
    pub fn dispatch(&mut self, event: Arc<[u8]>, callback: Option<CallbackId>) -> Result<(), DispatchError> {
        self.dispatch_retried(event, callback, 0)
    }

    /// [`Self::dispatch`] of an event that is sent again up to `retries` times when it gets lost.
    pub fn dispatch_retried(
        &mut self,
        event: Arc<[u8]>,
        callback: Option<CallbackId>,
        retries: u32,
    ) -> Result<(), DispatchError> {
        let largest = largest_event(&self.connection.config, MAX_CLIENT_EVENT);
        self.connection.dispatch_retried(event, callback, retries, largest)?;
        if self.phase == Phase::Closed {
            self.connection.abandon_events();
        }
        Ok(())
    }

    /// Whether the connection has ended.
    pub fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    /// Takes in a datagram from the server's address.
    pub fn handle_datagram(&mut self, now: Duration, datagram: &[u8]) {
        if matches!(self.phase, Phase::Idle | Phase::Closed) {
            return;
        }
        let config = self.connection.config;
        let stats = &mut self.connection.stats;
        stats.bytes_received += datagram.len() as u64;
        let mut package = match Package::decode(Kind::Server, datagram) {
            Ok(package) if package.header.sequence != Sqn::ZERO && config.takes(&package) => package,
            _ => {
                stats.malformed += 1;
                return;
            }
        };
        let first = self.connection.received.newest == Sqn::ZERO;
        let ack = package.header.ack;
        if ack != Sqn::ZERO && ack.newer_than(self.connection.local_sequence) {
            if !first {
                stats.implausible += 1;
                return;
            }
            // The server still speaks to whoever had this port before. Answering it sets that right.
            package.header = Header { sequence: package.header.sequence, ..Header::default() };
        }
        if self.is_over_for(package.header.sequence) {
            self.connection.stats.late += 1;
            return;
        }
        let may_say_hello = first || self.server_is_ours || self.server_was_ours;
        let says_hello = package.header.ack_bitfield == HELLO && may_say_hello;
        if says_hello {
            self.server_is_ours = true;
            package.header.ack_bitfield = 0;
        }
        let is_answer = says_hello && (first || self.greeting.is_some());
        if let Some(greeting) = &mut self.greeting
            && !says_hello
        {
            greeting.left = greeting.left.saturating_sub(1);
            if greeting.left == 0 || ack != Sqn::ZERO && ack.since(greeting.first) >= 0 {
                self.end_greeting();
            }
        }
        if self.server_is_ours && self.is_too_late(&package) {
            // Not acknowledged: the server takes what is acknowledged for merged.
            self.connection.stats.late += 1;
            return;
        }
        let leap = package.header.sequence.since(self.connection.received.newest);
        let forgot = leap > 0 && !says_hello && self.has_forgotten(package.header);
        // Whoever holds nothing and was merely not heard of has asked already.
        let silent = self.connection.silence(now) > RESYNC_AFTER && self.replica.time_order() != Sqn::ZERO;
        let away = silent || !first && (leap >= LEAP || forgot);
        self.connection.number_events(self.server_is_ours);
        let receipt = self.connection.receive(now, &package);
        if is_answer {
            self.greeting = None;
            // From now on each package acknowledges something, and any may be the one that proves our address.
            self.presented_after = self.connection.token().map(|_| self.connection.local_sequence);
        }
        if receipt == Receipt::Dropped {
            return;
        }
        if let Some(reason) = self.connection.take_farewell() {
            self.leave(now, &reason);
            return;
        }
        if self.presented_after.is_some_and(|after| ack != Sqn::ZERO && ack.newer_than(after)) {
            self.presented_after = None;
        }
        if away && !first && !says_hello && self.server_is_ours && (leap >= LEAP || forgot) {
            let first = self.connection.local_sequence.next();
            self.greeting.get_or_insert(Greeting { first, left: GREETING });
        }
        if leap > 0 {
            self.last_header = if says_hello { Header::default() } else { package.header };
        }
        self.probes = 0;
        if away {
            self.resync();
        }
        if first || away || is_answer {
            // What we send next proves our address or asks for the state: the sooner, the sooner it comes.
            self.next_send = now;
        }
        if receipt == Receipt::Refused {
            return;
        }
        if self.is_from_before(package.header) {
            return;
        }
        self.asked_after.take_if(|asked_after| package.header.ack.since(*asked_after) > STRAGGLERS);
        if let Body::Server { update } = package.body {
            if receipt == Receipt::Older && self.has_overtaken(package.header, update) {
                return;
            }
            match self.replica.apply(update) {
                Ok(true) => {
                    self.state_at = now;
                    self.merged = Some(package.header.sequence);
                }
                Ok(false) => {}
                Err(_) => self.connection.stats.malformed += 1,
            }
        }
    }

    /// Takes in a package that somebody else received, by hand: every one of a new number counts.
    pub fn receive_by_hand(&mut self, now: Duration, package: &Package<'_>) -> Receipt {
        let receipt = self.connection.receive(now, package);
        if let (Receipt::Newest | Receipt::Older, Body::Server { update }) = (receipt, package.body)
            && self.replica.apply(update).is_err()
        {
            self.connection.stats.malformed += 1;
        }
        receipt
    }

    /// What became due by `now`.
    pub fn handle_timeout(&mut self, now: Duration) {
        let was = self.connection.status();
        self.connection.handle_timeout(now);
        if was == Status::Connected && self.connection.status() == Status::Disconnected {
            self.connection.abandon_unretried();
            if self.server_is_ours && self.connection.token().is_none() {
                // It got at least our proof, and will not know us again when it has forgotten our address.
                self.connection.abandon_doubtful();
            }
            self.trying_since = now;
        }
        if self.phase == Phase::Running
            && self.connection.status() == Status::Connecting
            && !self.unanswered_said
            && now.saturating_sub(self.trying_since) >= UNANSWERED
        {
            self.unanswered_said = true;
            self.actions.push_back(ClientAction::Unanswered);
        }
    }

    /// Appends a datagram for the server to `out`, if one is due; call it until it says no, then see to
    /// [`Self::poll_action`] before anything is sent again.
    pub fn poll_transmit(&mut self, now: Duration, out: &mut Vec<u8>) -> bool {
        if now < self.next_send {
            return false;
        }
        match self.phase {
            Phase::Idle | Phase::Closed => false,
            Phase::ShuttingDown { since, copies } if copies > 0 || self.server_is_there(now, since) => {
                let (all, gap) = SHUTDOWN_COPIES;
                out.extend_from_slice(SHUTDOWN);
                self.phase = Phase::ShuttingDown { since, copies: copies + 1 };
                self.next_send = now + gap;
                if copies + 1 == all {
                    self.close();
                }
                true
            }
            Phase::Running | Phase::SentAway | Phase::ShuttingDown { .. } => self.write_package(now, out),
        }
    }

    /// When [`Self::poll_transmit`] or [`Self::handle_timeout`] has something to do; `None` when never.
    pub fn poll_timeout(&self) -> Option<Duration> {
        match self.phase {
            Phase::Idle | Phase::Closed => None,
            Phase::Running | Phase::SentAway | Phase::ShuttingDown { .. } => {
                Some(self.next_send.min(self.connection.poll_timeout()))
            }
        }
    }

    /// What the driver is asked to do next.
    pub fn poll_action(&mut self) -> Option<ClientAction> {
        self.actions.pop_front()
    }

    fn write_package(&mut self, now: Duration, out: &mut Vec<u8>) -> bool {
        let interval = match self.connection.status() {
            Status::Disconnected => {
                let (interval, most) = match self.phase {
                    Phase::SentAway => (SLOW_INTERVAL, PROBES_AFTER_SHUTDOWN),
                    _ => (PROBE_INTERVAL, PROBES_PER_PORT),
                };
                if self.probes >= most {
                    self.phase = Phase::Running;
                    self.actions.push_back(ClientAction::FreshPort);
                    self.connection.restart(now);
                    self.last_header = Header::default();
                    self.resync();
                    self.server_is_ours = false;
                    self.server_was_ours = false;
                    self.connection.number_events(true);
                    self.greeting = None;
                    self.presented_after = None;
                    self.probes = 0;
                    return false;
                }
                self.probes += 1;
                interval
            }
            Status::Connecting if now.saturating_sub(self.trying_since) > EAGER => SLOW_INTERVAL,
            Status::Connecting | Status::Connected => self.connection.interval(now),
        };
        let mut header =
            Header { sequence: self.connection.local_sequence.next(), ..self.connection.acknowledgement() };
        if header.ack == Sqn::ZERO || self.greeting.is_some() {
            header = Header { ack: Sqn::ZERO, ack_bitfield: HELLO, ..header };
        }
        let token = self.connection.token().filter(|_| self.presented_after.is_some());
        let limit = datagram_limit(
            &self.connection.config,
            self.connection.config.package_size,
            CLIENT_PREFIX + token.map_or(0, |_| 2 + TOKEN_EVENT_SIZE),
            self.connection.next_event_size(),
        );
        let body = Body::Client { time_order: self.replica.time_order() };
        let events = events_per_package(self.server_is_ours);
        let start = out.len();
        // A header and a time order always fit.
        let written = PackageWriter::new(out, header, body).is_ok_and(|mut writer| {
            token.is_none_or(|token| writer.push_event(&token_event(&token), MAX_DATAGRAM))
        });
        self.connection.fill_package(now, header.sequence, limit, events, out, start);
        // An absolute grid: the interval holds on average, however late a turn comes.
        let next = self.next_send + interval;
        self.next_send = if next > now { next } else { now + interval };
        written
    }

    /// Whether something newer than this update was merged. Its label does not tell where labels hop half way round
    /// while it is under way; but of two packages, the one that was sent first never has the newer update.
    fn has_overtaken(&self, header: Header, update: &[u8]) -> bool {
        let is_older = self.connection.received.newest.newer_than(header.sequence);
        let was_sent_earlier = self.merged.is_some_and(|merged| merged.newer_than(header.sequence));
        self.replica.has_overtaken(update) || is_older && was_sent_earlier
    }

    /// Whether a package was made before its sender knew that the state is asked for as a whole.
    fn is_from_before(&self, header: Header) -> bool {
        self.asked_after.is_some_and(|asked| header.ack == Sqn::ZERO || header.ack.since(asked) <= 0)
    }

    /// Whether a package has nothing but a part of the state that something newer has overtaken, or one of the copy
    /// that is given up.
    fn is_too_late(&self, package: &Package<'_>) -> bool {
        let Body::Server { update } = package.body else { return false };
        update.len() > EMPTY_UPDATE
            && package.events().next().is_none()
            && (self.is_from_before(package.header) || self.has_overtaken(package.header, update))
    }

    /// Whether the server no longer acknowledges what it did before. Then it is another one: an original begins
    /// with number 1, and that may be the next.
    fn has_forgotten(&self, header: Header) -> bool {
        let before = self.last_header;
        match u32::try_from(header.ack.since(before.ack)) {
            // An original forgets the newest number before a gap itself, so only the bits tell.
            Ok(by @ 0..32) => before.ack_bitfield >> by & !header.ack_bitfield != 0,
            _ => false,
        }
    }

    /// Takes the server for an original.
    fn end_greeting(&mut self) {
        self.greeting = None;
        self.server_is_ours = false;
        self.server_was_ours = true;
        self.connection.number_events(false);
    }

    /// Whether a package is of a session that the server has ended; another one begins with the first that is not.
    fn is_over_for(&mut self, sequence: Sqn) -> bool {
        let was_sent_away = self.phase == Phase::SentAway;
        let is_newer = sequence.newer_than(self.connection.received.newest);
        if was_sent_away && is_newer {
            self.phase = Phase::Running;
        }
        was_sent_away && !is_newer
    }

    /// Takes note that the server has ended the session, and tries it again after a while.
    fn leave(&mut self, now: Duration, reason: &str) {
        if self.phase != Phase::Running {
            self.close(); // it was about to end anyway
            return;
        }
        self.phase = Phase::SentAway;
        self.connection.set_status(Status::Disconnected);
        self.connection.abandon_unretried();
        self.trying_since = now;
        // Nobody who was kicked gets an answer at the old port.
        (self.probes, self.next_send) =
            if reason == SHUT_DOWN { (0, now + SLOW_INTERVAL) } else { (PROBES_AFTER_SHUTDOWN, now + REST) };
    }

    fn resync(&mut self) {
        self.replica.resync();
        self.asked_after = Some(self.connection.local_sequence);
        self.merged = None;
    }

    /// Whether the server has shown that it receives what we send, or we have waited long enough.
    fn server_is_there(&self, now: Duration, since: Duration) -> bool {
        let connected = self.connection.status() == Status::Connected;
        connected && self.connection.stats.acknowledged > 0 || now.saturating_sub(since) >= SHUTDOWN_WAIT
    }

    fn close(&mut self) {
        self.phase = Phase::Closed;
        self.connection.set_status(Status::Disconnected);
        self.connection.abandon_events();
        self.actions.push_back(ClientAction::Closed);
    }
}
