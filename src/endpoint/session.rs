//! The session with a client, as its server sees it.

mod restarts;
mod sending;

use std::{sync::Arc, time::Duration};

use super::{MAX_SERVER_EVENT, admission::Proven, largest_event, pace::BellPull};
use crate::{
    connection::{CallbackId, Config, Connection, DispatchError, NumberedArrivals, Receipt, Status, Token},
    state::{PeerKind, Store, View},
    wire::{Body, Package, Sqn},
};
pub(super) use restarts::Belongs;
use restarts::RestartCandidate;
pub(super) use sending::write_farewell;

/// Acknowledged packages that lift the early credit.
const EARLY_ACKS: u8 = 2;

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
    /// For a fresh event.
    bell: BellPull,
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

/// Who decides when a package goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Driver {
    Server,
    Hand,
    /// No server has it any more, and nobody will come back to it.
    Nobody,
}

impl ServerConnection {
    /// A connection that no server drives.
    pub fn new(config: impl Into<Arc<Config>>, last_client_time_order: Sqn) -> Self {
        Self {
            last_client_time_order,
            connection: Connection::new(config),
            view: None,
            driver: Driver::Server,
            stay: 0,
            bell: BellPull::default(),
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
        if self.hurries() {
            self.bell.pull();
        }
        Ok(())
    }

    /// Gives up what was to be sent to a client that has gone, and what only one that is there needs; retried events
    /// wait for one of ours.
    pub(super) fn lose_client(&mut self) {
        if let Some(view) = &mut self.view {
            view.rest();
        }
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

    /// Makes the caller the one that drives it: its stay. It rings `bell` from now on.
    pub(super) fn claim(&mut self, bell: BellPull) -> u64 {
        self.stay += 1;
        self.bell = bell;
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

    /// Takes in a package of the session.
    pub(super) fn receive(&mut self, now: Duration, package: &Package<'_>, store: &Store) {
        let receipt = self.connection.receive(now, package);
        self.connection.refuse_farewell();
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

    /// Takes in a package that somebody else received, by hand.
    pub fn receive_by_hand(&mut self, now: Duration, package: &Package<'_>) -> Receipt {
        self.driver = Driver::Hand;
        let receipt = self.connection.receive(now, package);
        if let (Receipt::Newest, Body::Client { time_order }) = (receipt, package.body) {
            self.last_client_time_order = time_order;
        }
        receipt
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
