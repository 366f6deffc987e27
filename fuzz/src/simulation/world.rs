//! A server and its clients, whoever made them, and what they owe each other.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pygase::ClientConnection;
use pygase::connection::{Config, ConnectionEvent, Status};
use pygase::endpoint::{ClientAction, Peer, ServerConfig, ServerEndpoint, ServerEvent};
use pygase::netsim::{Conditions, Network};
use pygase::state::Store;
use pygase::wire::{Sqn, msgpack};

use super::original::{OriginalClient, OriginalServer};
use super::state::{State, merge, pack, unpack};

const MS: Duration = Duration::from_millis(1);

/// What became of an event.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fate {
    /// How often it came.
    pub(super) came: u32,
    /// How often its sender was told that it did.
    pub(super) acknowledged: u32,
    /// How often its sender was told that it did not.
    pub(super) timed_out: u32,
    /// When it was dispatched.
    pub(super) at: Duration,
    /// When it first came.
    pub(super) arrived: Option<Duration>,
}

/// The events of one direction between a client and its server.
#[derive(Debug, Default)]
pub(super) struct Events {
    /// By number.
    pub(super) fates: BTreeMap<u64, Fate>,
    /// Numbers in the order in which they came.
    pub(super) order: Vec<u64>,
}

impl Events {
    fn dispatch(&mut self, now: Duration) -> (u64, Vec<u8>) {
        let number = self.fates.len() as u64 + 1;
        self.fates.insert(number, Fate { at: now, ..Fate::default() });
        let mut args = vec![0x91];
        msgpack::write_uint(&mut args, number);
        (number, msgpack::event("N", &args, &[0x80]))
    }

    fn came(&mut self, now: Duration, bytes: &[u8]) {
        let parts = msgpack::event_parts(bytes).expect("a checked event");
        let mut args = msgpack::Reader::new(parts.args);
        let (Ok(_), Ok(msgpack::Token::Uint(number))) = (args.next(), args.next()) else { return };
        let fate = self.fates.get_mut(&number).expect("an event of ours");
        fate.came += 1;
        fate.arrived.get_or_insert(now);
        self.order.push(number);
    }

    fn told(&mut self, number: u64, acknowledged: bool) {
        let fate = self.fates.get_mut(&number).expect("an event of ours");
        if acknowledged { fate.acknowledged += 1 } else { fate.timed_out += 1 }
    }

    fn note(&mut self, other: &mut Self, now: Duration, happened: ConnectionEvent) {
        match happened {
            ConnectionEvent::Event(bytes) => other.came(now, &bytes),
            ConnectionEvent::Acknowledged(number) => self.told(number, true),
            ConnectionEvent::TimedOut(number) => self.told(number, false),
            ConnectionEvent::Status(_) | ConnectionEvent::Quality(_) | ConnectionEvent::Farewell(_) => {}
        }
    }
}

/// Who a client is.
#[derive(Debug)]
pub(super) enum Mind {
    /// One of ours.
    Ours(Box<ClientConnection>),
    /// An unmodified one.
    Original(Box<OriginalClient>),
}

/// A client.
#[derive(Debug)]
pub(super) struct Client {
    /// Who it is.
    pub(super) mind: Mind,
    /// Where it is.
    pub(super) at: SocketAddr,
    /// What its game has.
    pub(super) game: State,
    /// From it.
    pub(super) up: Events,
    /// To it.
    pub(super) down: Events,
    /// When it came.
    pub(super) joined: Duration,
    /// It was disconnected once.
    pub(super) was_lost: bool,
    /// The newest moment of the game it has seen; it never goes back.
    pub(super) seen: u64,
}

impl Client {
    /// Whether it is one of ours.
    pub(super) fn is_ours(&self) -> bool {
        matches!(self.mind, Mind::Ours(_))
    }
}

/// Who the server is.
enum Server {
    Ours(Box<ServerEndpoint>, Arc<Mutex<Store>>),
    Original(Box<OriginalServer>),
}

/// A server and its clients.
pub(super) struct World {
    /// The time.
    pub(super) now: Duration,
    /// What is between them.
    pub(super) network: Network,
    /// The clients.
    pub(super) clients: Vec<Client>,
    /// The game as it is meant to be.
    pub(super) truth: State,
    server: Server,
    /// Connections of our server, with the number of the client that had the address.
    peers: Vec<(usize, Arc<Peer>)>,
    /// Whose addresses they are or were.
    addresses: HashMap<SocketAddr, usize>,
    next_port: u16,
    ticks: u64,
    config: Config,
    restarts: u8,
}

/// Where the server is.
pub(super) fn server_address() -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], 8080))
}

impl World {
    /// A server, ours or an original, without clients.
    pub(super) fn new(seed: u64, conditions: Conditions, is_ours: bool, ordered_events: bool) -> Self {
        let prompt_events = [None, Some(true), Some(false)][seed as usize / 2 % 3];
        let config = Config { ordered_events, prompt_events, ..Config::default() };
        let mut world = Self {
            now: Duration::from_secs(10),
            network: Network::new(seed, conditions),
            clients: Vec::new(),
            truth: State::new(),
            server: Server::Original(Box::default()),
            peers: Vec::new(),
            addresses: HashMap::new(),
            next_port: 2000,
            ticks: 0,
            config,
            restarts: 0,
        };
        if is_ours {
            world.start_server((seed % 65_536) as u16);
        }
        world
    }

    /// Starts our server, again with what the game has now.
    pub(super) fn start_server(&mut self, time_order: u16) {
        self.restarts += 1;
        let store = Store::new(Sqn::new(time_order), &pack(&self.truth)).expect("a state");
        let store = Arc::new(Mutex::new(store));
        let config = ServerConfig { connection: self.config, ..ServerConfig::default() };
        let endpoint = ServerEndpoint::new(config, Arc::clone(&store), [self.restarts; 16]);
        self.server = Server::Ours(Box::new(endpoint), store);
        self.peers.clear();
    }

    /// Lets a client come.
    pub(super) fn join(&mut self, is_ours: bool) {
        let mind = if is_ours {
            let mut client = ClientConnection::new(self.config);
            client.connect(self.now);
            Mind::Ours(Box::new(client))
        } else {
            Mind::Original(Box::default())
        };
        let at = self.fresh_address(self.clients.len());
        let (game, up, down) = Default::default();
        self.clients.push(Client { mind, at, game, up, down, joined: self.now, was_lost: false, seen: 0 });
    }

    /// An address that nobody has had, for this client.
    pub(super) fn fresh_address(&mut self, index: usize) -> SocketAddr {
        self.next_port += 1;
        let at = SocketAddr::from(([10, 0, 0, 2], self.next_port));
        self.addresses.insert(at, index);
        at
    }

    /// The game goes on: the clock, and what else changes.
    pub(super) fn tick(&mut self, changes: &State) {
        self.ticks += 1;
        let mut update = changes.clone();
        update.entry("clock".into()).or_default().insert(0, Some(format!("{:09}", self.ticks)));
        merge(&mut self.truth, &update);
        match &mut self.server {
            Server::Ours(_, store) => {
                let mut store = store.lock().expect("nobody panics with it");
                let next = store.time_order().next();
                store.push(self.now, next, &pack(&update)).expect("an update");
            }
            Server::Original(server) => server.push(&update),
        }
    }

    /// Dispatches an event from this client.
    pub(super) fn dispatch_up(&mut self, index: usize, retries: u32) {
        let client = &mut self.clients[index];
        let (number, event) = client.up.dispatch(self.now);
        match &mut client.mind {
            Mind::Ours(ours) => {
                ours.dispatch_retried(event.into(), Some(number), retries).expect("a small event");
            }
            Mind::Original(original) => original.line.dispatch(&event, number, retries),
        }
    }

    /// Dispatches an event to this client, if the server knows it.
    pub(super) fn dispatch_down(&mut self, index: usize, retries: u32) {
        let client = &mut self.clients[index];
        match &mut self.server {
            Server::Ours(..) => {
                let Some((_, peer)) = self.peers.iter().rfind(|(of, _)| *of == index) else { return };
                let (number, event) = client.down.dispatch(self.now);
                peer.lock().dispatch_retried(event.into(), Some(number), retries).expect("a small event");
            }
            Server::Original(server) => {
                let (number, event) = client.down.dispatch(self.now);
                server.line.dispatch(&event, number, retries);
            }
        }
    }

    /// Lets time pass until then; nothing is asked to be exact to less than a millisecond.
    pub(super) fn run_until(&mut self, end: Duration) {
        while self.now < end {
            self.step();
            let next = self.next().max(self.now + MS).min(end.max(self.now + MS));
            self.now = Duration::from_millis(next.as_micros().div_ceil(1000) as u64);
        }
    }

    fn next(&self) -> Duration {
        let server = match &self.server {
            Server::Ours(server, _) => server.poll_timeout(),
            Server::Original(server) => Some(server.line.next()),
        };
        let clients = self.clients.iter().filter_map(|client| match &client.mind {
            Mind::Ours(ours) => ours.poll_timeout(),
            Mind::Original(original) => Some(original.line.next()),
        });
        clients.chain(server).chain(self.network.next_arrival()).min().unwrap_or(self.now)
    }

    fn step(&mut self) {
        let now = self.now;
        while let Some(datagram) = self.network.receive(now) {
            if datagram.to == server_address() {
                match &mut self.server {
                    Server::Ours(server, _) => server.handle_datagram(now, datagram.from, &datagram.bytes),
                    Server::Original(server) => server.handle_datagram(now, &datagram.bytes),
                }
            } else if let Some(client) = self.clients.iter_mut().find(|client| client.at == datagram.to) {
                match &mut client.mind {
                    Mind::Ours(ours) => ours.handle_datagram(now, &datagram.bytes),
                    Mind::Original(original) => original.handle_datagram(now, &datagram.bytes),
                }
            }
        }
        self.serve();
        for index in 0..self.clients.len() {
            self.play(index);
        }
    }

    fn serve(&mut self) {
        let now = self.now;
        let mut out = Vec::new();
        match &mut self.server {
            Server::Ours(server, _) => {
                server.handle_timeout(now);
                while let Some(to) = server.poll_transmit(now, &mut out) {
                    self.network.send(now, server_address(), to, &out);
                    out.clear();
                }
                while let Some(event) = server.poll_event() {
                    if let ServerEvent::Connected(peer) = event {
                        self.peers.push((self.addresses[&peer.address()], peer));
                    }
                }
                let mut happened = Vec::new();
                for (index, peer) in &self.peers {
                    peer.take_events(&mut happened);
                    let client = &mut self.clients[*index];
                    for happened in happened.drain(..) {
                        client.down.note(&mut client.up, now, happened);
                    }
                }
            }
            Server::Original(server) => {
                if let Some(client) = self.clients.first_mut() {
                    if let Some(bytes) = server.transmit(now) {
                        self.network.send(now, server_address(), client.at, &bytes);
                    }
                    server.line.acknowledged.drain(..).for_each(|number| client.down.told(number, true));
                    server.line.timed_out.drain(..).for_each(|number| client.down.told(number, false));
                    server.line.came.drain(..).for_each(|bytes| client.up.came(now, &bytes));
                    assert!(
                        server.line.dead.is_none(),
                        "an original server would have died: {:?}",
                        server.line.dead
                    );
                }
            }
        }
    }

    fn play(&mut self, index: usize) {
        let now = self.now;
        let client = &mut self.clients[index];
        let mut is_fresh = false;
        match &mut client.mind {
            Mind::Ours(ours) => {
                ours.handle_timeout(now);
                let mut out = Vec::new();
                while ours.poll_transmit(now, &mut out) {
                    self.network.send(now, client.at, server_address(), &out);
                    out.clear();
                }
                while let Some(action) = ours.poll_action() {
                    is_fresh |= action == ClientAction::FreshPort;
                }
                while let Some(happened) = ours.connection_mut().poll_event() {
                    client.was_lost |= happened == ConnectionEvent::Status(Status::Disconnected);
                    client.up.note(&mut client.down, now, happened);
                }
                if let Some(pulled) = ours.replica_mut().pull() {
                    if pulled.fresh {
                        client.game.clear();
                    }
                    merge(&mut client.game, &unpack(&pulled.update));
                }
            }
            Mind::Original(original) => {
                if let Some(bytes) = original.transmit(now) {
                    self.network.send(now, client.at, server_address(), &bytes);
                }
                original.line.acknowledged.drain(..).for_each(|number| client.up.told(number, true));
                original.line.timed_out.drain(..).for_each(|number| client.up.told(number, false));
                original.line.came.drain(..).for_each(|bytes| client.down.came(now, &bytes));
                client.was_lost |= now > Duration::from_secs(16) && !original.line.is_connected(now);
                assert!(
                    original.line.dead.is_none(),
                    "an original would have died: {:?}",
                    original.line.dead
                );
                client.game.clone_from(&original.state);
                // What a deletion of something unknown leaves behind.
                client.game.values_mut().for_each(|units| units.retain(|_, text| text.is_some()));
            }
        }
        let clock = client.game.get("clock").and_then(|units| units.get(&0)?.as_ref()?.parse().ok());
        let clock: u64 = clock.unwrap_or_default();
        assert!(
            clock >= client.seen || clock == 0,
            "the game of client {index} goes back from {} to {clock}",
            client.seen
        );
        client.seen = clock;
        if is_fresh {
            self.clients[index].at = self.fresh_address(index);
        }
    }

    /// Whether every client that counts has what the server has.
    pub(super) fn is_in_sync(&self, counts: impl Fn(&Client) -> bool) -> bool {
        let is_empty = |units: &BTreeMap<u32, Option<String>>| units.is_empty();
        let same = |game: &State| {
            let ours = game.iter().filter(|(_, units)| !is_empty(units));
            ours.eq(self.truth.iter().filter(|(_, units)| !is_empty(units)))
        };
        self.clients.iter().filter(|client| counts(client)).all(|client| same(&client.game))
    }
}
