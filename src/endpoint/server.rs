//! A server: addresses, their admission, who is host, and whose turn it is to be sent a package.

mod joining;
mod leaving;
mod turns;

use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{
    Bell, Counters, Gauges, Peer, SHUT_ME_DOWN, SHUTDOWN, ServerConfig, ServerConnection,
    admission::Admission, bans::Bans, bucket::Bucket, commons::Commons, pace::Pace, schedule::Wheel,
    session::Belongs,
};
use crate::{
    connection::{Config, Status},
    state::Store,
    wire::{Body, Kind, Package, Sqn},
};

/// What happened at a server.
#[derive(Clone, Debug)]
pub enum ServerEvent {
    /// An address has proven itself.
    Connected(Arc<Peer>),
    /// Something happened on a connection: take its events.
    Ready(Arc<Peer>),
    /// A client of ours took its session from this address to another.
    Moved(Arc<Peer>, SocketAddr),
    /// A connection was silent for too long and is forgotten.
    Removed(Arc<Peer>),
    /// Another client has host permission, or none.
    Host(Option<Arc<Peer>>),
    /// The host asked the server to shut down.
    ShutdownRequested,
}

#[derive(Debug)]
struct Entry {
    peer: Arc<Peer>,
    /// The connection is driven here as long as this is its stay.
    stay: u64,
    /// Where it is sent to.
    address: SocketAddr,
    /// When its turn is. A turn that comes at another time is one that was moved.
    pace: Pace,
    packages: Bucket,
    event_bytes: Bucket,
}

impl Entry {
    /// Whether a package keeps to the rates of its connection.
    fn may_send(&mut self, now: Duration, package: &Package<'_>, config: &ServerConfig) -> bool {
        let events: usize = package.events().map(<[u8]>::len).sum();
        self.packages.take(now, 1, config.max_package_rate)
            && (events == 0 || self.event_bytes.take(now, events as u32, config.max_event_rate))
    }
}

/// Many clients.
#[derive(Debug)]
pub struct ServerEndpoint {
    config: ServerConfig,
    /// That of its connections, for them to share.
    of_connections: Arc<Config>,
    store: Arc<Mutex<Store>>,
    admission: Admission,
    entries: Vec<Option<Entry>>,
    free: Vec<usize>,
    by_address: HashMap<SocketAddr, usize>,
    bans: Bans,
    commons: Commons,
    /// Its number among those that share them.
    shard: usize,
    wheel: Wheel,
    due: VecDeque<usize>,
    /// Rung by connections with fresh events.
    bell: Arc<Bell>,
    /// Room for those that rang.
    rang: Vec<usize>,
    answers: VecDeque<(SocketAddr, Vec<u8>)>,
    events: VecDeque<ServerEvent>,
    next_sweep: Duration,
    counters: Counters,
    scratch: Vec<u8>,
}

impl ServerEndpoint {
    /// A server without clients that shares `store`. `secret` must be unpredictable.
    pub fn new(config: ServerConfig, store: Arc<Mutex<Store>>, secret: [u8; 16]) -> Self {
        Self::shard(config, store, secret, &Commons::default())
    }

    /// One of several endpoints of the same server. A client must come to the same one as long as its address is the
    /// same; one that goes on from another address may come to another.
    pub fn shard(
        config: ServerConfig,
        store: Arc<Mutex<Store>>,
        secret: [u8; 16],
        commons: &Commons,
    ) -> Self {
        let bell = Arc::default();
        store.lock().unwrap_or_else(PoisonError::into_inner).add_bell(&bell);
        Self {
            config,
            of_connections: Arc::new(config.connection),
            store,
            admission: Admission::new(secret, config.max_unproven, config.max_new_per_source.is_some()),
            entries: Vec::new(),
            free: Vec::new(),
            by_address: HashMap::new(),
            bans: Bans::new(config.max_bans),
            shard: commons.enlist(),
            commons: commons.clone(),
            wheel: Wheel::new(),
            due: VecDeque::new(),
            bell,
            rang: Vec::new(),
            answers: VecDeque::new(),
            events: VecDeque::new(),
            next_sweep: Duration::ZERO,
            counters: Counters::default(),
            scratch: Vec::new(),
        }
    }

    /// Makes `peer`, known from an earlier run, the one that its address is taken up again with.
    pub fn remember(&mut self, peer: Arc<Peer>) {
        peer.forget_announcement();
        let lapsed = peer.lock().take_lapsed();
        self.commons.remember(peer, lapsed);
    }

    /// Takes in a datagram.
    pub fn handle_datagram(&mut self, now: Duration, from: SocketAddr, datagram: &[u8]) {
        self.counters.datagrams += 1;
        if self.bans.cover(now, from) {
            self.counters.banned += 1;
            return;
        }
        if from.port() == 0 {
            self.counters.unanswerable += 1;
            return;
        }
        let known = self.by_address.get(&from).copied();
        if datagram == SHUTDOWN || datagram == SHUT_ME_DOWN {
            self.handle_shutdown(now, known, datagram);
            return;
        }
        let package = match Package::decode(Kind::Client, datagram) {
            Ok(package) if package.header.sequence != Sqn::ZERO && self.config.connection.takes(&package) => {
                package
            }
            _ => {
                self.counters.malformed += 1;
                if let Some(entry) = self.entry(known) {
                    entry.peer.lock().connection_mut().stats.malformed += 1;
                }
                return;
            }
        };
        match known {
            Some(key) => self.handle_package(now, key, datagram.len(), &package),
            None => self.handle_stranger(now, from, datagram.len(), &package),
        }
    }

    /// What happened next, oldest first.
    pub fn poll_event(&mut self) -> Option<ServerEvent> {
        self.events.pop_front()
    }

    /// Has so many connections that were [removed](ServerEvent::Removed) keep their places, because whoever handles
    /// events has not heard of it: without end, they would come and go while it does something else.
    pub fn set_unheard(&mut self, unheard: usize) {
        self.commons.set_unheard(unheard);
    }

    /// By which its driver hears that [`Self::poll_timeout`] may have changed, though nothing came in.
    pub fn bell(&self) -> &Arc<Bell> {
        &self.bell
    }

    /// What was seen so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// How many clients have proven themselves and are not forgotten.
    pub fn connections(&self) -> usize {
        self.by_address.len()
    }

    /// How it stands.
    pub fn gauges(&self) -> Gauges {
        Gauges {
            connections: self.connections(),
            unproven_entries: self.admission.len(),
            unproven_memory: self.admission.memory(),
            bans: self.bans.len(),
        }
    }

    /// The clients, in no order.
    pub fn peers(&self) -> impl Iterator<Item = &Arc<Peer>> {
        self.entries.iter().flatten().map(|entry| &entry.peer)
    }

    fn entry(&self, key: Option<usize>) -> Option<&Entry> {
        self.entries.get(key?)?.as_ref()
    }

    fn lock_store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn handle_shutdown(&mut self, now: Duration, known: Option<usize>, datagram: &[u8]) {
        let may = datagram == SHUTDOWN && self.config.host_shutdown;
        let host = self.entry(known).filter(|entry| may && self.commons.is_host(entry.peer.tag));
        if !host.is_some_and(|entry| entry.peer.lock().ask_shutdown(now)) {
            self.counters.shutdown_refused += 1;
        }
    }

    fn handle_package(&mut self, now: Duration, key: usize, size: usize, package: &Package<'_>) {
        let Some(entry) = self.entries.get(key).and_then(Option::as_ref) else { return };
        let (peer, address, stay) = (Arc::clone(&entry.peer), entry.address, entry.stay);
        let mut connection = peer.lock();
        if connection.stay() != stay {
            self.let_go(key);
            return;
        }
        connection.connection_mut().stats.bytes_received += size as u64;
        let was = connection.connection().status();
        let token = connection.token();
        {
            let store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
            match connection.belongs(now, package) {
                Belongs::Yes => {
                    let entry = self.entries.get_mut(key).and_then(Option::as_mut);
                    if entry.is_none_or(|entry| entry.may_send(now, package, &self.config)) {
                        connection.receive(now, package, &store);
                    } else {
                        connection.connection_mut().stats.over_rate += 1;
                        self.counters.over_rate += 1;
                    }
                }
                Belongs::Restarted => {
                    let fresh = self.admission.draw_token(address);
                    connection.begin_anew(now, fresh, time_order(package), &store);
                    connection.receive(now, package, &store);
                }
                Belongs::No => {
                    connection.connection_mut().stats.implausible += 1;
                    drop(store);
                    self.counters.implausible += 1;
                    let mut answer = Vec::new();
                    if package.header.ack == Sqn::ZERO {
                        connection.answer_candidate(now, time_order(package), &mut answer);
                    }
                    if !answer.is_empty() {
                        self.answers.push_back((address, answer));
                    }
                }
            }
        }
        if connection.token() != token {
            self.commons.name_session(token, connection.token(), &peer);
        }
        if was == Status::Disconnected && connection.connection().status() == Status::Connected {
            if let Some(entry) = self.entries.get_mut(key).and_then(Option::as_mut) {
                entry.pace = Pace::default();
            }
            self.due.push_back(key);
        }
        self.announce(&peer, &connection);
    }

    fn announce(&mut self, peer: &Arc<Peer>, connection: &ServerConnection) {
        if connection.connection().has_event() && peer.announce() {
            self.events.push_back(ServerEvent::Ready(Arc::clone(peer)));
        }
    }
}

fn time_order(package: &Package<'_>) -> Sqn {
    match package.body {
        Body::Client { time_order } => time_order,
        Body::Plain | Body::Server { .. } => Sqn::ZERO,
    }
}
