//! A server with a crowd of clients, and no socket: what each of them takes of its memory, and what those leave behind
//! that were there.
//!
//! A client is a few numbers in a place that was made for all of them at the beginning, so that what is allocated is the
//! server's.

mod players;

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pygase::endpoint::{ServerConfig, ServerEndpoint, ServerEvent};
use pygase::state::Store;
use pygase::wire::{Body, Header, Kind, Package, PackageWriter, Sqn, msgpack};

use crate::allocation::live;
use players::players;

const MS: Duration = Duration::from_millis(1);
/// How many milliseconds lie between two updates by the game, and between two packages of a client.
const TICK: u64 = 20;
const INTERVAL: u64 = 25;
/// How many players move in a tick.
const MOVERS: u32 = 3;
/// How many packages may be under way to all clients.
const MOST_UNDER_WAY: usize = 1 << 15;
/// How long a client stays where joins go on and on.
const STAY: Duration = Duration::from_secs(1);
/// By which a client says that it is one of ours.
const HELLO: u32 = 0x7067_7201;

/// What a client knows.
#[derive(Clone, Copy, Debug, Default)]
struct Client {
    sequence: Sqn,
    heard: Sqn,
    time_order: Sqn,
}

/// What is on its way to a client: when it comes, to whom, and what the client takes from it.
#[derive(Clone, Copy, Debug)]
struct Under {
    until: Duration,
    index: usize,
    sequence: Sqn,
    time_order: Sqn,
}

/// Who plays what.
#[derive(Clone, Copy, Debug)]
pub struct Game {
    /// How many players the state has.
    pub players: u32,
    /// Whether the clients are this project's.
    pub are_ours: bool,
    /// How long packages to them take.
    pub latency: Duration,
}

/// A server in the middle of a game, and its clients.
#[derive(Debug)]
pub struct Crowd {
    game: Game,
    now: Duration,
    server: ServerEndpoint,
    store: Arc<Mutex<Store>>,
    clients: Vec<Client>,
    /// Those that play. Whoever joined first falls silent first.
    playing: Range<usize>,
    under_way: VecDeque<Under>,
    ticks: u32,
    out: Vec<u8>,
}

impl Crowd {
    /// A server without clients, with places for so many.
    pub fn new(game: Game, config: ServerConfig, places: usize) -> Self {
        let store = Store::new(Sqn::new(1), &players(0..game.players, place(0))).expect("a state");
        let store = Arc::new(Mutex::new(store));
        Self {
            game,
            now: Duration::from_secs(1000),
            server: ServerEndpoint::new(config, Arc::clone(&store), [7; 16]),
            store,
            clients: vec![Client::default(); places],
            playing: 0..0,
            under_way: VecDeque::with_capacity(MOST_UNDER_WAY),
            ticks: 0,
            out: Vec::with_capacity(4096),
        }
    }

    /// Lets so many clients join, each from an address of its own, while time goes on.
    pub fn join(&mut self, count: usize) {
        for _ in 0..count {
            self.playing.end += 1;
            self.next_millisecond();
        }
    }

    /// How many connections the server has.
    pub fn connections(&self) -> usize {
        self.server.connections()
    }

    /// Goes on for so long.
    pub fn play(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.next_millisecond();
        }
    }

    /// Ends the server: how many bytes it had allocated.
    pub fn end(self) -> usize {
        let before = live();
        drop(self.server);
        usize::try_from(before - live()).expect("what ends allocates nothing")
    }

    fn next_millisecond(&mut self) {
        self.now += MS;
        let at = self.now.as_millis() as u64;
        if at.is_multiple_of(TICK) {
            self.tick();
        }
        while let Some(arrived) = self.under_way.front().copied().filter(|under| under.until <= self.now) {
            self.under_way.pop_front();
            let client = &mut self.clients[arrived.index];
            client.heard = arrived.sequence;
            if arrived.time_order.newer_than(client.time_order) {
                client.time_order = arrived.time_order;
            }
        }
        let mut datagram = std::mem::take(&mut self.out);
        for index in self.playing.clone().filter(|index| *index as u64 % INTERVAL == at % INTERVAL) {
            let client = &mut self.clients[index];
            client.sequence = client.sequence.next();
            let ack_bitfield = match client.heard {
                Sqn::ZERO if self.game.are_ours => HELLO,
                Sqn::ZERO => 0,
                _ => u32::MAX,
            };
            let header = Header { sequence: client.sequence, ack: client.heard, ack_bitfield };
            let body = Body::Client { time_order: client.time_order };
            datagram.clear();
            PackageWriter::new(&mut datagram, header, body).expect("a package");
            self.server.handle_datagram(self.now, address(index), &datagram);
        }
        self.server.handle_timeout(self.now);
        datagram.clear();
        while let Some(to) = self.server.poll_transmit(self.now, &mut datagram) {
            self.send(to, &datagram);
            datagram.clear();
        }
        self.out = datagram;
        while let Some(event) = self.server.poll_event() {
            if let ServerEvent::Ready(peer) = event {
                peer.take_events(&mut Vec::new());
            }
        }
    }

    fn tick(&mut self) {
        self.ticks += 1;
        let moved = (0..MOVERS).map(|mover| (self.ticks * MOVERS + mover) % self.game.players);
        let mut store = self.store.lock().expect("nobody panics with it");
        let time_order = store.time_order().next();
        store.push(self.now, time_order, &players(moved, place(self.ticks))).expect("an update");
    }

    fn send(&mut self, to: SocketAddr, datagram: &[u8]) {
        let package = Package::decode(Kind::Server, datagram).expect("a package");
        let Body::Server { update } = package.body else { return };
        let index = index_of(to);
        if self.playing.contains(&index) {
            assert!(self.under_way.len() < MOST_UNDER_WAY, "room for what is under way");
            let time_order = msgpack::update_time_order(update).expect("an update");
            let (until, sequence) = (self.now + self.game.latency, package.header.sequence);
            self.under_way.push_back(Under { until, index, sequence, time_order });
        }
    }
}

/// What each connection takes in such a game, in bytes, when its client has been silent for so long: that of many less
/// that of half as many.
///
/// # Panics
/// When not all of them can join, or they are forgotten.
pub fn bytes_each(game: Game, silence: Duration) -> usize {
    const MANY: usize = 300;
    let taken = |count| {
        let mut crowd = Crowd::new(game, ServerConfig::default(), count);
        crowd.join(count);
        crowd.play(Duration::from_secs(2));
        for _ in 0..count * usize::from(silence > Duration::ZERO) {
            crowd.playing.start += 1;
            crowd.next_millisecond();
        }
        crowd.play(silence);
        assert_eq!(crowd.connections(), count, "all have joined");
        crowd.end()
    };
    (taken(MANY) - taken(MANY / 2)) / (MANY / 2)
}

/// Lets so many clients join in each second, which fall silent after a second; gives how many bytes are allocated after
/// each half minute.
///
/// # Panics
/// When the server does not forget them.
pub fn joins(time: Duration, each_second: usize, config: ServerConfig) -> Vec<isize> {
    let seconds = time.as_secs() as usize;
    let game = Game { players: 20, are_ours: false, latency: MS * 20 };
    let mut crowd = Crowd::new(game, config, seconds * each_second);
    let mut bytes = Vec::with_capacity(seconds);
    for second in 1..=seconds {
        for _ in 0..each_second {
            crowd.playing.end += 1;
            crowd.playing.start = crowd.playing.end.saturating_sub(each_second);
            crowd.play(STAY / each_second as u32);
        }
        if second.is_multiple_of(30) {
            bytes.push(live());
        }
    }
    // Besides those that are not forgotten yet: it looks at them once a second.
    let most = each_second * (config.idle_removal.as_secs() as usize + 4);
    assert!(crowd.connections() <= most, "{} connections, not {most}", crowd.connections());
    bytes
}

fn address(index: usize) -> SocketAddr {
    (Ipv4Addr::from(0x0a00_0000 + (index as u32 >> 14)), 10_000 + (index as u16 & 0x3fff)).into()
}

fn index_of(address: SocketAddr) -> usize {
    let IpAddr::V4(ip) = address.ip() else { panic!("{address} is nobody's") };
    (ip.to_bits() as usize & 0xff) << 14 | usize::from(address.port() - 10_000)
}

/// Where those are who move in a tick. It takes as many bytes at any time.
fn place(tick: u32) -> u32 {
    1000 + tick % 1000
}
