//! A server and its clients on a simulated network, driven millisecond by millisecond.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pygase::ClientConnection;
use pygase::endpoint::{ClientAction, ServerConfig, ServerEndpoint};
use pygase::netsim::{Conditions, Network};
use pygase::state::Store;
use pygase::wire::Sqn;

use crate::state::{State, merge, pack, unpack};

pub(crate) const MS: Duration = Duration::from_millis(1);

/// A world of about so many bytes.
pub(crate) fn big(bytes: usize) -> State {
    let unit = |n: u32| (n, Some("somewhere".to_owned()));
    BTreeMap::from([("units".to_owned(), (0..bytes as u32 / 13).map(unit).collect())])
}

pub(crate) struct Client {
    pub(crate) connection: ClientConnection,
    /// What the game has.
    pub(crate) game: State,
    /// How much there was each time it changed.
    pub(crate) sizes: Vec<usize>,
}

pub(crate) struct World {
    pub(crate) now: Duration,
    pub(crate) network: Network,
    pub(crate) store: Arc<Mutex<Store>>,
    pub(crate) server: ServerEndpoint,
    pub(crate) clients: BTreeMap<SocketAddr, Client>,
    /// The largest datagram from the server, and how many there were.
    pub(crate) largest: usize,
    pub(crate) packages: usize,
    address: SocketAddr,
    next_port: u16,
    config: ServerConfig,
    /// Makes the secret of each server another one.
    restarts: u8,
}

impl World {
    pub(crate) fn new(seed: u64, conditions: Conditions, time_order: u16, state: &State) -> Self {
        Self::with_config(seed, conditions, time_order, state, ServerConfig::default())
    }

    pub(crate) fn with_config(
        seed: u64,
        conditions: Conditions,
        time_order: u16,
        state: &State,
        config: ServerConfig,
    ) -> Self {
        let store = Arc::new(Mutex::new(Store::new(Sqn::new(time_order), &pack(state)).unwrap()));
        Self {
            now: Duration::from_secs(100),
            network: Network::new(seed, conditions),
            server: ServerEndpoint::new(config, Arc::clone(&store), [7; 16]),
            store,
            clients: BTreeMap::new(),
            largest: 0,
            packages: 0,
            address: ([10, 0, 0, 1], 8080).into(),
            next_port: 2000,
            config,
            restarts: 7,
        }
    }

    /// Another server with another state, on the same address.
    pub(crate) fn restart(&mut self, time_order: u16, state: &State) {
        self.restarts += 1;
        self.store = Arc::new(Mutex::new(Store::new(Sqn::new(time_order), &pack(state)).unwrap()));
        self.server = ServerEndpoint::new(self.config, Arc::clone(&self.store), [self.restarts; 16]);
    }

    pub(crate) fn join(&mut self) {
        let mut connection = ClientConnection::default();
        connection.connect(self.now);
        let at = self.fresh_address();
        self.clients.insert(at, Client { connection, game: State::new(), sizes: Vec::new() });
    }

    fn fresh_address(&mut self) -> SocketAddr {
        self.next_port += 1;
        ([10, 0, 0, 2], self.next_port).into()
    }

    pub(crate) fn push(&mut self, update: &State) {
        let mut store = self.store.lock().unwrap();
        let next = store.time_order().next();
        store.push(self.now, next, &pack(update)).unwrap();
    }

    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.step();
        }
    }

    /// Lets a time pass in which nothing arrives, with a look every five milliseconds.
    pub(crate) fn lose_all(&mut self, time: Duration) {
        let conditions = self.network.conditions;
        self.network.conditions.loss = 1.0;
        let end = self.now + time;
        while self.now < end {
            self.now += MS * 4;
            self.step();
        }
        self.network.conditions = conditions;
    }

    /// Runs until every client has this state; gives how long that took.
    pub(crate) fn run_until_all_have(&mut self, state: &State, at_most: Duration) -> Option<Duration> {
        let mut took = Duration::ZERO;
        while took < at_most {
            self.step();
            took += MS;
            if self.clients.values().all(|client| client.game == *state) {
                return Some(took);
            }
        }
        None
    }

    fn step(&mut self) {
        self.now += MS;
        let now = self.now;
        while let Some(datagram) = self.network.receive(now) {
            if datagram.to == self.address {
                self.server.handle_datagram(now, datagram.from, &datagram.bytes);
            } else if let Some(client) = self.clients.get_mut(&datagram.to) {
                client.connection.handle_datagram(now, &datagram.bytes);
            }
        }
        let mut out = Vec::new();
        self.server.handle_timeout(now);
        while let Some(to) = self.server.poll_transmit(now, &mut out) {
            self.largest = self.largest.max(out.len());
            self.packages += 1;
            self.network.send(now, self.address, to, &out);
            out.clear();
        }
        while self.server.poll_event().is_some() {}
        for (at, mut client) in std::mem::take(&mut self.clients) {
            client.connection.handle_timeout(now);
            while client.connection.poll_transmit(now, &mut out) {
                self.network.send(now, at, self.address, &out);
                out.clear();
            }
            let fresh = std::iter::from_fn(|| client.connection.poll_action())
                .any(|action| action == ClientAction::FreshPort);
            client.look();
            let at = if fresh { self.fresh_address() } else { at };
            self.clients.insert(at, client);
        }
    }
}

impl Client {
    fn look(&mut self) {
        let Some(pulled) = self.connection.replica_mut().pull() else { return };
        if pulled.fresh {
            self.game.clear();
        }
        merge(&mut self.game, &unpack(&pulled.update));
        self.sizes.push(self.game.values().map(BTreeMap::len).sum());
    }
}
