//! A server: addresses, their admission, who is host, and whose turn it is to be sent a package.

use std::{
    collections::{HashMap, VecDeque},
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::bans::Bans;
use super::{
    Counters, Gauges, Peer, SHUT_ME_DOWN, SHUTDOWN, ServerConfig, ServerConnection,
    admission::{Admission, Proven},
    bucket::Bucket,
    commons::{Commons, Room},
    peer::{Belongs, Lapsed, write_farewell},
    schedule::Wheel,
};
use crate::{
    connection::{ReceiveWindow, Status, token_in},
    state::Store,
    wire::{Body, Header, Kind, Package, Sqn},
};

/// How often tombstones that no client needs any more are cleared away.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);
/// How many packages of a large state go out in one interval, evenly, to a client of ours with a good line.
const BURST: u32 = 4;
/// What clients of ours are told when the server ends, and when there is no room for them.
const SHUT_DOWN: &str = "shutdown";
const FULL: &str = "server full";
/// How often a disconnected client is looked at.
const IDLE_CHECK: Duration = Duration::from_secs(1);

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
    turn: Duration,
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
        Self {
            config,
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

    /// Takes nothing in from a host, or with a port from that address only, for ever or for `time`; connections
    /// from there are forgotten at once, and clients of ours told why. Says whether there was room for one more ban.
    pub fn ban(
        &mut self,
        now: Duration,
        host: IpAddr,
        port: Option<u16>,
        time: Option<Duration>,
        reason: &str,
    ) -> bool {
        if !self.bans.add(now, host, port, time.map(|time| now.saturating_add(time))) {
            return false;
        }
        let keys: Vec<_> = self.by_address.iter().filter(|(from, _)| self.bans.cover(now, **from)).collect();
        let keys: Vec<_> = keys.into_iter().map(|(_, key)| *key).collect();
        for key in keys {
            if let Some((peer, stay)) =
                self.entry(Some(key)).map(|entry| (Arc::clone(&entry.peer), entry.stay))
            {
                self.say_farewell(now, &peer, stay, reason);
                self.remove(key, &peer);
            }
        }
        true
    }

    /// Lifts such a ban; says whether there was one.
    pub fn unban(&mut self, host: IpAddr, port: Option<u16>) -> bool {
        self.bans.lift(host, port)
    }

    /// Lets time pass: whose turn is it?
    pub fn handle_timeout(&mut self, now: Duration) {
        let Self { wheel, due, .. } = self;
        wheel.pop_due(now, |key| due.push_back(key));
        self.lock_store().tick_idle(now);
        if now >= self.next_sweep {
            self.next_sweep = now + SWEEP_INTERVAL;
            self.sweep(now);
        }
    }

    /// Appends a datagram to `out` and says where it goes; `None` when nothing is due.
    pub fn poll_transmit(&mut self, now: Duration, out: &mut Vec<u8>) -> Option<SocketAddr> {
        if let Some((to, answer)) = self.answers.pop_front() {
            out.extend_from_slice(&answer);
            return Some(to);
        }
        while let Some(key) = self.due.pop_front() {
            let to = self.take_turn(now, key, out);
            if to.is_some() {
                return to;
            }
        }
        None
    }

    /// When something is due next, if nothing comes in: without a client the next sweep, because the game goes on
    /// and makes tombstones.
    pub fn poll_timeout(&self) -> Option<Duration> {
        if !self.due.is_empty() || !self.answers.is_empty() {
            return Some(Duration::ZERO);
        }
        Some(self.wheel.next().map_or(self.next_sweep, |turn| turn.min(self.next_sweep)))
    }

    /// What happened next, oldest first.
    pub fn poll_event(&mut self) -> Option<ServerEvent> {
        self.events.pop_front()
    }

    /// Ends every session: the clients are disconnected, events for them have timed out, and clients of ours are to be
    /// told, see [`Self::poll_transmit`].
    pub fn close(&mut self, now: Duration) {
        for entry in std::mem::take(&mut self.entries).into_iter().flatten() {
            self.say_farewell(now, &entry.peer, entry.stay, SHUT_DOWN);
            let mut connection = entry.peer.lock();
            if connection.stay() == entry.stay {
                connection.end();
                self.announce(&entry.peer, &connection);
                self.commons.leave(entry.address, connection.token());
                self.commons.resign(entry.peer.tag);
            }
        }
        self.by_address.clear();
        self.due.clear();
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

    fn handle_stranger(&mut self, now: Duration, from: SocketAddr, size: usize, package: &Package<'_>) {
        let mut answer = Vec::new();
        let proven = self.admission.receive(now, from, size, package, &mut self.counters, &mut answer);
        if !answer.is_empty() {
            self.answers.push_back((from, answer));
        }
        let Some(mut proven) = proven else { return };
        // What came before the proof may have come from somebody else, under numbers that it would never reach.
        if !proven.window.is_near(package.header.sequence) {
            proven.window = ReceiveWindow::default();
            proven.time_order = time_order(package);
        }
        let mut lapsed = None;
        if let Some(token) = package.events().find_map(token_in).filter(|_| proven.hello) {
            if let Some(peer) = self.commons.session(token) {
                match self.move_session(now, &peer, from, proven, size, package) {
                    None => return,
                    // Another shard has just forgotten it.
                    Some(given_back) => proven = given_back,
                }
            }
            lapsed = self.commons.recall_lapsed(token);
            self.counters.wrong_tokens += u64::from(lapsed.is_none());
        }
        let room = self.commons.admit(now, from, &self.config);
        if room != Room::Yes {
            let is_full = room == Room::Full;
            let counter =
                if is_full { &mut self.counters.over_limit } else { &mut self.counters.over_source };
            *counter += 1;
            if proven.hello {
                let sequence = proven.local_sequence.next();
                let header = Header { sequence, ack: package.header.sequence, ack_bitfield: 0 };
                let mut answer = Vec::new();
                write_farewell(header, &super::empty_update(proven.time_order), FULL, &mut answer);
                self.answers.push_back((from, answer));
            }
            return;
        }
        let peer = self
            .commons
            .recall(from)
            .unwrap_or_else(|| Peer::new(from, ServerConnection::new(self.config.connection, Sqn::ZERO)));
        // A client that shows one keeps it: it may never hear of another before this server is gone, too.
        let token = match lapsed {
            Some(Lapsed { token, arrivals }) => {
                proven.arrivals = Some(arrivals);
                token
            }
            None => self.admission.draw_token(from),
        };
        let stay = {
            let mut connection = peer.lock();
            connection.begin(now, proven, token, &self.lock_store());
            self.commons.name_session(None, connection.token(), &peer);
            connection.claim()
        };
        let key = self.enter(from, &peer, stay);
        self.counters.proven += 1;
        self.events.push_back(ServerEvent::Connected(Arc::clone(&peer)));
        if self.commons.make_host(peer.tag) {
            self.events.push_back(ServerEvent::Host(Some(Arc::clone(&peer))));
        }
        let mut connection = peer.lock();
        connection.connection_mut().stats.bytes_received += size as u64;
        // The proof belongs to the session however far its number is from those before: they may have been lost.
        connection.receive(now, package, &self.lock_store());
        self.due.push_back(key);
        self.announce(&peer, &connection);
    }

    /// Drives the connection of `peer`, at `address`, from here on: its key.
    fn enter(&mut self, address: SocketAddr, peer: &Arc<Peer>, stay: u64) -> usize {
        let key = self.free.pop().unwrap_or(self.entries.len());
        let entry = Some(Entry {
            peer: Arc::clone(peer),
            stay,
            address,
            turn: Duration::ZERO,
            packages: Bucket::default(),
            event_bytes: Bucket::default(),
        });
        match self.entries.get_mut(key) {
            Some(slot) => *slot = entry,
            None => self.entries.push(entry),
        }
        self.by_address.insert(address, key);
        key
    }

    /// Forgets a connection that another shard drives.
    fn let_go(&mut self, key: usize) {
        if let Some(entry) = self.entries.get_mut(key).and_then(Option::take) {
            self.free.push(key);
            self.by_address.remove(&entry.address);
        }
    }

    /// Goes on with a session at an address that has proven itself and shown its token. Gives back what is known of
    /// the address if the session has ended meanwhile.
    fn move_session(
        &mut self,
        now: Duration,
        peer: &Arc<Peer>,
        to: SocketAddr,
        proven: Proven,
        size: usize,
        package: &Package<'_>,
    ) -> Option<Proven> {
        let mut connection = peer.lock();
        if connection.has_ended() {
            return Some(proven);
        }
        let from = peer.address();
        let known = self.by_address.get(&from).copied().filter(|key| {
            self.entry(Some(*key))
                .is_some_and(|entry| entry.peer.tag == peer.tag && entry.stay == connection.stay())
        });
        let key = if let Some(key) = known {
            if let Some(entry) = self.entries.get_mut(key).and_then(Option::as_mut) {
                entry.address = to;
                entry.turn = Duration::ZERO;
            }
            self.by_address.remove(&from);
            self.by_address.insert(to, key);
            key
        } else {
            // Whoever drives it notices when it looks at it next, under the same lock.
            if let Some(floor) = connection.floor() {
                self.commons.lower_floor(self.shard, floor);
            }
            self.enter(to, peer, connection.claim())
        };
        self.commons.relocate(from, to);
        peer.set_address(to);
        self.counters.moved += 1;
        self.events.push_back(ServerEvent::Moved(Arc::clone(peer), from));
        connection.go_on(now, proven, &self.lock_store());
        connection.connection_mut().stats.bytes_received += size as u64;
        connection.receive(now, package, &self.lock_store());
        self.due.push_back(key);
        self.announce(peer, &connection);
        None
    }

    /// Tells a client of ours that its session ends, unless another shard has it.
    fn say_farewell(&mut self, now: Duration, peer: &Arc<Peer>, stay: u64, reason: &str) {
        let mut farewell = Vec::new();
        let mut connection = peer.lock();
        if connection.stay() == stay {
            connection.write_farewell(now, reason, &mut farewell);
        }
        if !farewell.is_empty() {
            self.answers.push_back((peer.address(), farewell));
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
                entry.turn = Duration::ZERO;
            }
            self.due.push_back(key);
        }
        self.announce(&peer, &connection);
    }

    /// One turn of a connection: what timed out, then a package. Gives the address if one goes out.
    fn take_turn(&mut self, now: Duration, key: usize, out: &mut Vec<u8>) -> Option<SocketAddr> {
        let entry = self.entries.get(key)?.as_ref()?;
        if entry.turn > now {
            return None;
        }
        let (peer, address, turn, stay) = (Arc::clone(&entry.peer), entry.address, entry.turn, entry.stay);
        let mut connection = peer.lock();
        if connection.stay() != stay {
            self.let_go(key);
            return None;
        }
        let was = connection.connection().status();
        connection.connection_mut().handle_timeout(now);
        match connection.shutdown_due(now) {
            Some(true) => self.events.push_back(ServerEvent::ShutdownRequested),
            Some(false) => self.counters.shutdown_refused += 1,
            None => {}
        }
        let connected = connection.connection().status() == Status::Connected;
        if was == Status::Connected && !connected {
            connection.lose_client();
        }
        self.announce(&peer, &connection);
        let start = out.len();
        let next = if connected {
            let mut scratch = std::mem::take(&mut self.scratch);
            connection.write_package(now, &mut self.lock_store(), &mut scratch, out);
            self.scratch = scratch;
            let interval = connection.connection().interval(now);
            let interval = if connection.may_burst() { interval / BURST } else { interval };
            // The first turn came at once; the second finds the emptiest slot, and the grid stays.
            match turn {
                Duration::ZERO => self.wheel.quietest(now, interval),
                turn if turn + interval > now => turn + interval,
                _ => now + interval,
            }
        } else if connection.connection().silence(now) >= self.config.idle_removal {
            drop(connection);
            self.remove(key, &peer);
            return None;
        } else {
            now + IDLE_CHECK
        };
        if let Some(entry) = self.entries.get_mut(key).and_then(Option::as_mut) {
            entry.turn = next;
        }
        self.wheel.insert(key, next);
        (out.len() > start).then_some(address)
    }

    fn announce(&mut self, peer: &Arc<Peer>, connection: &ServerConnection) {
        if connection.connection().has_event() && peer.announce() {
            self.events.push_back(ServerEvent::Ready(Arc::clone(peer)));
        }
    }

    fn remove(&mut self, key: usize, peer: &Arc<Peer>) {
        let Some((address, stay)) = self.entry(Some(key)).map(|entry| (entry.address, entry.stay)) else {
            return;
        };
        {
            let mut connection = peer.lock();
            if connection.stay() != stay {
                self.let_go(key);
                return;
            }
            connection.end();
            let lapsed = connection.take_lapsed();
            self.announce(peer, &connection);
            self.commons.leave(address, connection.token());
            self.commons.remember_lapsed(lapsed);
        }
        self.let_go(key);
        self.events.push_back(ServerEvent::Removed(Arc::clone(peer)));
        if self.commons.resign(peer.tag) {
            self.events.push_back(ServerEvent::Host(None));
        }
    }

    /// Clears away tombstones that no client needs any more.
    fn sweep(&mut self, now: Duration) {
        // Who joins from here on needs none of those that are there.
        let newest = self.lock_store().tree().revision();
        let floor = self.peers().filter_map(|peer| peer.lock().floor()).min();
        let floor = self.commons.sweep(now, self.shard, floor.unwrap_or(newest));
        self.lock_store().forget(floor);
    }
}

fn time_order(package: &Package<'_>) -> Sqn {
    match package.body {
        Body::Client { time_order } => time_order,
        Body::Plain | Body::Server { .. } => Sqn::ZERO,
    }
}
