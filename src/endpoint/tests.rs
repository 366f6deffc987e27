//! Many peers on a simulated network, and peers that build their packages by hand.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

mod early;
mod events;
mod limits;
mod merging;
mod playing;
mod returning;
mod shards;
mod strangers;
mod takeover;

use super::*;
use crate::{
    connection::{ConnectionEvent, Status},
    netsim::{Conditions, Network},
    state::Store,
    wire::{Body, Header, Kind, Package, PackageWriter, Sqn, msgpack},
};

const MS: Duration = Duration::from_millis(1);
const SERVER: &str = "10.0.0.1:8080";

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn encode(value: &serde_json::Value) -> Vec<u8> {
    rmp_serde::to_vec(value).unwrap()
}

fn event(name: &str) -> Arc<[u8]> {
    msgpack::event(name, &[0x90], &[0x80]).into()
}

fn store(time_order: u16, state: &serde_json::Value) -> Arc<Mutex<Store>> {
    Arc::new(Mutex::new(Store::new(Sqn::new(time_order), &encode(state)).unwrap()))
}

fn endpoint(store: &Arc<Mutex<Store>>) -> ServerEndpoint {
    ServerEndpoint::new(ServerConfig::default(), Arc::clone(store), [7; 16])
}

/// A server and clients of ours on a simulated network.
struct World {
    now: Duration,
    network: Network,
    store: Arc<Mutex<Store>>,
    server: ServerEndpoint,
    clients: HashMap<SocketAddr, ClientConnection>,
    server_events: Vec<ServerEvent>,
    next_port: u16,
    /// Whether what clients send is lost, and what the server sends.
    cut: (bool, bool),
    /// Packages from the server, counted by receiver.
    delivered: HashMap<SocketAddr, usize>,
}

impl World {
    fn new(conditions: Conditions, state: &serde_json::Value) -> Self {
        let store = store(1, state);
        Self {
            now: Duration::from_secs(1000),
            network: Network::new(42, conditions),
            server: endpoint(&store),
            store,
            clients: HashMap::new(),
            server_events: Vec::new(),
            next_port: 2000,
            cut: (false, false),
            delivered: HashMap::new(),
        }
    }

    /// A line on which nothing is ever lost.
    fn with_latency(latency: Duration, state: &serde_json::Value) -> Self {
        Self::new(Conditions { latency, ..Conditions::default() }, state)
    }

    /// Lets another server take the place of this one, which knows nothing of it.
    fn replace_server(&mut self, state: &serde_json::Value) {
        self.store = store(1, state);
        self.server = endpoint(&self.store);
    }

    /// The client that the server told of first.
    fn first_peer(&self) -> Arc<Peer> {
        match &self.server_events[..] {
            [ServerEvent::Connected(peer), ..] => Arc::clone(peer),
            other => panic!("connected first, not {other:?}"),
        }
    }

    fn join(&mut self) -> SocketAddr {
        let at = self.fresh_address();
        let mut client = ClientConnection::default();
        client.connect(self.now);
        self.clients.insert(at, client);
        at
    }

    fn fresh_address(&mut self) -> SocketAddr {
        self.next_port += 1;
        SocketAddr::from(([10, 0, 0, 2], self.next_port))
    }

    fn client(&mut self, at: SocketAddr) -> &mut ClientConnection {
        self.clients.get_mut(&at).unwrap()
    }

    /// Pushes an update as a game loop would.
    fn push(&mut self, update: &serde_json::Value) {
        let mut store = self.store.lock().unwrap();
        let next = store.time_order().next();
        store.push(self.now, next, &encode(update)).unwrap();
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now += MS;
            self.step();
        }
    }

    fn step(&mut self) {
        let (now, server) = (self.now, address(SERVER));
        while let Some(datagram) = self.network.receive(now) {
            if datagram.to == server {
                self.server.handle_datagram(now, datagram.from, &datagram.bytes);
            } else if let Some(client) = self.clients.get_mut(&datagram.to) {
                *self.delivered.entry(datagram.to).or_default() += 1;
                client.handle_datagram(now, &datagram.bytes);
            }
        }
        let mut out = Vec::new();
        self.server.handle_timeout(now);
        while let Some(to) = self.server.poll_transmit(now, &mut out) {
            if !self.cut.1 {
                self.network.send(now, server, to, &out);
            }
            out.clear();
        }
        self.server_events.extend(std::iter::from_fn(|| self.server.poll_event()));
        for at in self.clients.keys().copied().collect::<Vec<_>>() {
            let mut client = self.clients.remove(&at).unwrap();
            client.handle_timeout(now);
            while client.poll_transmit(now, &mut out) {
                if !self.cut.0 {
                    self.network.send(now, at, server, &out);
                }
                out.clear();
            }
            let actions: Vec<_> = std::iter::from_fn(|| client.poll_action()).collect();
            let at = if actions.contains(&ClientAction::FreshPort) { self.fresh_address() } else { at };
            self.clients.insert(at, client);
        }
    }

    fn only_client(&mut self) -> &mut ClientConnection {
        self.clients.values_mut().next().unwrap()
    }

    /// The client's copy of the state.
    fn state_of(&mut self, at: SocketAddr) -> serde_json::Value {
        pull(self.client(at)).1
    }

    fn events_of(&mut self, at: SocketAddr) -> Vec<ConnectionEvent> {
        let connection = self.client(at).connection_mut();
        std::iter::from_fn(|| connection.poll_event()).collect()
    }
}

/// Whether what a client holds is another copy than before, and its state.
fn pull(client: &mut ClientConnection) -> (bool, serde_json::Value) {
    let pulled = client.replica_mut().pull().expect("a state");
    (pulled.fresh, rmp_serde::from_slice(&pulled.update).unwrap())
}

/// A peer that builds its packages by hand, as an original would.
struct Raw {
    at: SocketAddr,
    sequence: Sqn,
}

impl Raw {
    fn new(port: u16) -> Self {
        Self { at: SocketAddr::from(([10, 0, 0, 3], port)), sequence: Sqn::ZERO }
    }

    fn package(&mut self, ack: Sqn, events: &[&[u8]]) -> Vec<u8> {
        self.sequence = self.sequence.next();
        let header = Header { sequence: self.sequence, ack, ack_bitfield: 0 };
        let mut out = Vec::new();
        let mut writer =
            PackageWriter::new(&mut out, header, Body::Client { time_order: Sqn::ZERO }).unwrap();
        for event in events {
            assert!(writer.push_event(event, 2048));
        }
        out
    }
}

fn sent(server: &mut ServerEndpoint, now: Duration) -> Vec<(SocketAddr, Vec<u8>)> {
    let mut all = Vec::new();
    let mut out = Vec::new();
    server.handle_timeout(now);
    while let Some(to) = server.poll_transmit(now, &mut out) {
        all.push((to, std::mem::take(&mut out)));
    }
    all
}

/// Answers of the server to one address, decoded.
fn sequences(server: &mut ServerEndpoint, now: Duration) -> Vec<Sqn> {
    let sequence = |(_, bytes): (SocketAddr, Vec<u8>)| {
        Package::decode(Kind::Server, &bytes).expect("well formed").header.sequence
    };
    sent(server, now).into_iter().map(sequence).collect()
}
