//! A client's connection to its server.

mod receiving;
mod sending;

use std::{collections::VecDeque, sync::Arc, time::Duration};

use super::{
    Bell, MAX_CLIENT_EVENT, largest_event,
    pace::{BellPull, Pace},
};
use crate::{
    connection::{CallbackId, Config, Connection, DispatchError, Status},
    state::Replica,
    wire::{Header, Sqn},
};

/// After this long without an answer the caller is told, once.
const UNANSWERED: Duration = Duration::from_secs(1);
/// Time between packages to a server that does not answer.
const SLOW_INTERVAL: Duration = Duration::from_millis(200);
/// How many probes from one port a client sends to a server that may be back soon, every [`SLOW_INTERVAL`].
const PROBES_AFTER_SHUTDOWN: u32 = 25;

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
    pace: Pace,
    bell: Arc<Bell>,
    bell_pull: BellPull,
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
        let bell = Arc::default();
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
            pace: Pace::default(),
            bell_pull: BellPull::of(&bell, 0),
            bell,
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
        self.pace = Pace::from(now);
        self.trying_since = now;
        self.unanswered_said = false;
        self.probes = 0;
    }

    /// Ends the connection, at once or, with `shut_down_server`, after asking the server to stop.
    pub fn disconnect(&mut self, now: Duration, shut_down_server: bool) {
        match self.phase {
            Phase::Running if shut_down_server => {
                self.phase = Phase::ShuttingDown { since: now, copies: 0 };
                self.pace = Pace::from(now);
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
        if self.hurries() {
            self.bell_pull.pull();
        }
        Ok(())
    }

    /// Whether an event waits for which the next package is to go early.
    fn hurries(&self) -> bool {
        self.phase == Phase::Running && self.connection.hurries(self.server_is_ours)
    }

    /// By which its driver hears that [`Self::poll_timeout`] may have changed, though nothing came in.
    pub fn bell(&self) -> &Arc<Bell> {
        &self.bell
    }

    /// Whether the connection has ended.
    pub fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
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

    /// When [`Self::poll_transmit`] or [`Self::handle_timeout`] has something to do; `None` when never.
    pub fn poll_timeout(&self) -> Option<Duration> {
        match self.phase {
            Phase::Idle | Phase::Closed => None,
            Phase::Running | Phase::SentAway | Phase::ShuttingDown { .. } => {
                let turn = if self.bell.has_rung() { Duration::ZERO } else { self.pace.turn };
                Some(turn.min(self.connection.poll_timeout()))
            }
        }
    }

    /// What the driver is asked to do next.
    pub fn poll_action(&mut self) -> Option<ClientAction> {
        self.actions.pop_front()
    }

    fn resync(&mut self) {
        self.replica.resync();
        self.asked_after = Some(self.connection.local_sequence);
        self.merged = None;
    }

    fn close(&mut self) {
        self.phase = Phase::Closed;
        self.connection.set_status(Status::Disconnected);
        self.connection.abandon_events();
        self.actions.push_back(ClientAction::Closed);
    }
}
