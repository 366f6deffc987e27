//! Scripts for a server: with clients of ours on honest lines, and with liars.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pygase::ClientConnection;
use pygase::connection::{Config, ConnectionEvent};
use pygase::endpoint::{ClientAction, Peer, ServerConfig, ServerEndpoint, ServerEvent};
use pygase::state::Store;
use pygase::wire::{Kind, Package, Sqn, msgpack};

use super::ledger::Ledger;
use super::line::Line;
use super::prompt_events;
use crate::allocation::{limited, live};
use crate::generate;
use crate::input::Input;

/// What one address was sent and has sent, in bytes.
#[derive(Debug, Default)]
struct Traffic {
    from: u64,
    to: u64,
}

/// A server, and what it owes to whom.
struct World {
    now: Duration,
    server: ServerEndpoint,
    store: Arc<Mutex<Store>>,
    traffic: HashMap<SocketAddr, Traffic>,
    /// Addresses that have proven themselves, at any time.
    proven: HashSet<SocketAddr>,
    /// Those that can have: whoever was sent something to acknowledge.
    spoken_to: HashSet<SocketAddr>,
    /// Every connection there ever was, by the client whose address it had first.
    peers: Vec<(u16, Arc<Peer>)>,
}

impl World {
    fn new(input: &mut Input<'_>, prompt_events: Option<bool>) -> Self {
        let store = Store::new(generate::sqn(input), b"\x81\xa1x\x01").expect("a state");
        let store = Arc::new(Mutex::new(store));
        let connection = Config { ordered_events: input.one_in(4), prompt_events, ..Config::default() };
        let config = ServerConfig { max_connections: 8, connection, ..ServerConfig::default() };
        Self {
            now: Duration::from_secs(1),
            server: ServerEndpoint::new(config, Arc::clone(&store), [input.u8(); 16]),
            store,
            traffic: HashMap::new(),
            proven: HashSet::new(),
            spoken_to: HashSet::new(),
            peers: Vec::new(),
        }
    }

    fn deliver(&mut self, from: SocketAddr, bytes: &[u8]) {
        self.traffic.entry(from).or_default().from += bytes.len() as u64;
        self.server.handle_datagram(self.now, from, bytes);
        self.note_events();
    }

    fn note_events(&mut self) {
        while let Some(event) = self.server.poll_event() {
            match event {
                ServerEvent::Connected(peer) => {
                    let at = peer.address();
                    assert!(self.spoken_to.contains(&at), "proven without a number to acknowledge");
                    self.proven.insert(at);
                    self.peers.push((client_of(at), peer));
                }
                ServerEvent::Moved(peer, _) => drop(self.proven.insert(peer.address())),
                ServerEvent::Host(Some(peer)) => assert!(self.proven.contains(&peer.address())),
                _ => {}
            }
        }
    }

    /// Lets the server have its turn; gives what it sends.
    fn transmit(&mut self) -> Vec<(SocketAddr, Vec<u8>)> {
        self.server.handle_timeout(self.now);
        let mut sent = Vec::new();
        let mut out = Vec::new();
        while let Some(to) = self.server.poll_transmit(self.now, &mut out) {
            assert!(out.len() <= 2048 && to.port() != 0);
            self.note_events();
            self.spoken_to.insert(to);
            let traffic = self.traffic.entry(to).or_default();
            traffic.to += out.len() as u64;
            if !self.proven.contains(&to) {
                assert!(traffic.to <= 3 * traffic.from, "{traffic:?} before the proof");
            }
            Package::decode(Kind::Server, &out).expect("a package of ours");
            sent.push((to, std::mem::take(&mut out)));
        }
        self.note_events();
        assert!(self.server.connections() <= self.proven.len().min(8));
        sent
    }

    fn push(&mut self, input: &mut Input<'_>) {
        let mut update = Vec::new();
        msgpack::write_map_len(&mut update, 1);
        msgpack::write_str(&mut update, input.pick(&["x", "y", "z"]));
        generate::value(input, 3, &mut update);
        let mut store = self.store.lock().expect("nobody panics with it");
        let next = store.time_order().next();
        // What is no possible dictionary is refused, and changes nothing.
        let _ = store.push(self.now, next, &update);
    }
}

struct Client {
    at: SocketAddr,
    connection: ClientConnection,
    /// It knew its server for one of ours.
    was_sure: bool,
    up: Line,
    down: Line,
    sent: Ledger,
    received: Ledger,
}

/// Whose address it is, whatever the port of the moment.
fn client_of(at: SocketAddr) -> u16 {
    at.port() % 100
}

fn address(host: u8, port: u16) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, host], port))
}

/// A server, up to three clients of ours on honest lines, and liars who know neither addresses nor numbers.
pub(super) fn session(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut world = World::new(&mut input, prompt_events(bytes.len()));
    let mut clients: Vec<Client> = (0..=input.below(3))
        .map(|number| {
            let mut connection = ClientConnection::default();
            let config = Arc::make_mut(&mut connection.connection_mut().config);
            config.ordered_events = number == 1;
            config.prompt_events = prompt_events(bytes.len() / 3 + number);
            connection.connect(world.now);
            let at = address(1, 1000 + number as u16);
            let (up, down) = Default::default();
            Client {
                at,
                connection,
                was_sure: false,
                up,
                down,
                sent: Ledger::default(),
                received: Ledger::default(),
            }
        })
        .collect();
    while !input.is_empty() {
        let index = input.below(clients.len());
        let client = &mut clients[index];
        match input.below(16) {
            0 => {
                let (event, id) = client.sent.event();
                let retries = input.below(3) as u32;
                client.connection.dispatch_retried(event, Some(id), retries).expect("a small event");
            }
            1 => {
                let newest = world.peers.iter().rfind(|(of, _)| *of == client_of(client.at));
                if let Some((_, peer)) = newest {
                    let (event, id) = client.received.event();
                    let retries = input.below(3) as u32;
                    peer.lock().dispatch_retried(event, Some(id), retries).expect("a small event");
                }
            }
            2..6 => {
                if let Some(bytes) = client.up.arrive(world.now, &mut input) {
                    world.deliver(client.at, &bytes);
                }
            }
            6..10 => {
                if let Some(bytes) = client.down.arrive(world.now, &mut input) {
                    limited(|| client.connection.handle_datagram(world.now, &bytes));
                }
            }
            10 => world.push(&mut input),
            11 => {
                // Packages of others that were overheard and damaged, from an address nobody has proven.
                let mut bytes = client.up.look(&mut input).cloned().unwrap_or_default();
                generate::damage(&mut input, &mut bytes);
                world.deliver(address(9, input.u16()), &bytes);
            }
            12 => {
                // What is no package, in everybody's name.
                let junk =
                    input.pick(&[&b"shut_me_down"[..], b"", b"\xff\xd0\xfa\xb9", b"hello", &[0xff; 2048]]);
                world.deliver(client.at, junk);
                client.connection.handle_datagram(world.now, junk);
            }
            _ => world.now += input.time(),
        }
        turn(&mut world, &mut clients);
    }
    // What waits for others in order does not wait for ever.
    world.now += Duration::from_secs(1);
    turn(&mut world, &mut clients);
    world.server.close(world.now);
    for client in &mut clients {
        client.connection.disconnect(world.now, false);
    }
    note(&world, &mut clients);
    for client in &clients {
        client.sent.close();
        client.received.close();
    }
}

/// Everybody's turn.
fn turn(world: &mut World, clients: &mut [Client]) {
    for (to, bytes) in world.transmit() {
        if let Some(client) = clients.iter_mut().find(|client| client.at == to) {
            client.down.send(world.now, bytes);
        }
    }
    for client in clients.iter_mut() {
        client.connection.handle_timeout(world.now);
        let mut out = Vec::new();
        while client.connection.poll_transmit(world.now, &mut out) {
            client.up.send(world.now, std::mem::take(&mut out));
        }
        let is_sure = client.connection.hello();
        if client.was_sure && !is_sure {
            // After an outage it may take the server for an original, which is sent no numbers of events.
            client.sent.allow_repetition();
            client.received.allow_repetition();
        }
        client.was_sure = is_sure;
        while let Some(action) = client.connection.poll_action() {
            if action == ClientAction::FreshPort {
                client.at.set_port(client.at.port() + 100);
                (client.up, client.down) = Default::default();
            }
        }
    }
    note(world, clients);
}

/// Takes note of what happened.
fn note(world: &World, clients: &mut [Client]) {
    let mut happened: Vec<ConnectionEvent> = Vec::new();
    for client in clients {
        // Sessions that are over, too.
        for (of, peer) in &world.peers {
            if *of == client_of(client.at) {
                peer.take_events(&mut happened);
            }
        }
        for happened in happened.drain(..) {
            client.sent.came(&happened);
            client.received.told(&happened);
        }
        while let Some(happened) = client.connection.connection_mut().poll_event() {
            client.received.came(&happened);
            client.sent.told(&happened);
        }
    }
}

/// A server and liars, who see all that is sent to them, with a few addresses.
pub(super) fn server(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut world = World::new(&mut input, prompt_events(bytes.len()));
    let before = live();
    let mut seen: HashMap<SocketAddr, Sqn> = HashMap::new();
    let mut own: HashMap<SocketAddr, Sqn> = HashMap::new();
    while !input.is_empty() {
        match input.below(8) {
            0..5 => {
                let from = address(1, u16::from(input.u8() % 16));
                let newest = own.get(&from).copied().unwrap_or_default();
                let ack = seen.get(&from).copied().unwrap_or_default();
                let mut bytes = generate::package(&mut input, Kind::Client, (newest, ack));
                if input.one_in(4) {
                    generate::damage(&mut input, &mut bytes);
                }
                if let Ok(package) = Package::decode(Kind::Client, &bytes) {
                    own.insert(from, package.header.sequence);
                }
                world.deliver(from, &bytes);
            }
            5 => {
                let bytes = input.pick(&[&b"shutdown"[..], b"shut_me_down", b""]);
                world.deliver(address(1, u16::from(input.u8() % 16)), bytes);
            }
            6 => world.push(&mut input),
            _ => world.now += input.time(),
        }
        for (to, bytes) in world.transmit() {
            let package = Package::decode(Kind::Server, &bytes).expect("a package of ours");
            seen.insert(to, package.header.sequence);
        }
        if input.one_in(16) {
            let mut taken = Vec::new();
            world.peers.iter().for_each(|(_, peer)| peer.take_events(&mut taken));
        }
    }
    let cost = live() - before;
    assert!(cost < 8 << 20, "{cost} bytes");
}
