//! A server endpoint with clients on a grid, and no socket: what the benchmarks of the endpoint step.

#[path = "../../fuzz/src/crowd/players.rs"]
mod players;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pygase::endpoint::{ServerConfig, ServerEndpoint};
use pygase::state::Store;
use pygase::wire::{Body, Header, Kind, Package, PackageWriter, Sqn, msgpack};

use players::players;

const MS: Duration = Duration::from_millis(1);
/// How many milliseconds lie between two updates by the game: 50 Hz.
const TICK: u64 = 20;
/// How many milliseconds lie between two packages of a client.
pub(crate) const INTERVAL: u64 = 25;
const PLAYERS: u32 = 20;
/// How many players move in a tick.
const MOVERS: u32 = 3;

/// What a client knows.
struct Client {
    address: SocketAddr,
    sequence: Sqn,
    heard: Sqn,
    time_order: Sqn,
}

/// A server in the middle of a game, and its clients.
pub(crate) struct World {
    now: Duration,
    server: ServerEndpoint,
    store: Arc<Mutex<Store>>,
    clients: Vec<Client>,
    ticks: u32,
    out: Vec<u8>,
    sent: Vec<(SocketAddr, usize)>,
}

impl World {
    /// A world in which all clients have joined and are on the grid.
    pub(crate) fn new(clients: u16) -> Self {
        let store = Arc::new(Mutex::new(Store::new(Sqn::new(1), &players(0..PLAYERS, 0)).unwrap()));
        let mut world = Self {
            now: Duration::from_secs(1000),
            server: ServerEndpoint::new(ServerConfig::default(), Arc::clone(&store), [7; 16]),
            store,
            clients: (0..clients)
                .map(|index| Client {
                    address: (Ipv4Addr::LOCALHOST, 10_000 + index).into(),
                    sequence: Sqn::ZERO,
                    heard: Sqn::ZERO,
                    time_order: Sqn::ZERO,
                })
                .collect(),
            ticks: 0,
            out: Vec::new(),
            sent: Vec::new(),
        };
        for _ in 0..8 * INTERVAL {
            let datagrams = world.next_millisecond();
            world.serve(&datagrams);
            world.read();
        }
        assert_eq!(world.server.connections(), usize::from(clients), "all clients have joined");
        world
    }

    /// Lets the game and the clients go on by a millisecond; returns what the clients send meanwhile.
    pub(crate) fn next_millisecond(&mut self) -> Vec<(SocketAddr, Vec<u8>)> {
        self.now += MS;
        let at = self.now.as_millis() as u64;
        if at.is_multiple_of(TICK) {
            self.ticks += 1;
            let moved = (0..MOVERS).map(|mover| (self.ticks * MOVERS + mover) % PLAYERS);
            let update = players(moved, self.ticks);
            let mut store = self.store.lock().unwrap();
            let time_order = store.time_order().next();
            store.push(self.now, time_order, &update).unwrap();
        }
        let turn = (at % INTERVAL) as usize;
        let due = self.clients.iter_mut().skip(turn).step_by(INTERVAL as usize);
        due.map(|client| {
            client.sequence = client.sequence.next();
            let header = Header {
                sequence: client.sequence,
                ack: client.heard,
                ack_bitfield: u32::from(client.heard != Sqn::ZERO) * u32::MAX,
            };
            let mut datagram = Vec::with_capacity(64);
            PackageWriter::new(&mut datagram, header, Body::Client { time_order: client.time_order })
                .unwrap();
            (client.address, datagram)
        })
        .collect()
    }

    /// The server's part of a millisecond: takes in what came, sends what is due. This is what is measured.
    #[inline(never)]
    pub(crate) fn serve(&mut self, datagrams: &[(SocketAddr, Vec<u8>)]) {
        for (from, datagram) in datagrams {
            self.server.handle_datagram(self.now, *from, datagram);
        }
        self.server.handle_timeout(self.now);
        self.out.clear();
        self.sent.clear();
        while let Some(to) = self.server.poll_transmit(self.now, &mut self.out) {
            self.sent.push((to, self.out.len()));
        }
        while self.server.poll_event().is_some() {}
    }

    /// Lets the clients read what the server sent in this millisecond: how many packages.
    pub(crate) fn read(&mut self) -> u64 {
        let mut start = 0;
        for &(to, end) in &self.sent {
            let package = Package::decode(Kind::Server, &self.out[start..end]).unwrap();
            start = end;
            let client = &mut self.clients[usize::from(to.port() - 10_000)];
            client.heard = package.header.sequence;
            if let Body::Server { update } = package.body {
                let time_order = msgpack::update_time_order(update).unwrap();
                if time_order.newer_than(client.time_order) {
                    client.time_order = time_order;
                }
            }
        }
        self.sent.len() as u64
    }
}
