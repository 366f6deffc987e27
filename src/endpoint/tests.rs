use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

mod events;
mod limits;
mod returning;
mod shards;
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
        let pulled = self.client(at).replica_mut().pull().expect("a state");
        rmp_serde::from_slice(&pulled.update).unwrap()
    }

    fn events_of(&mut self, at: SocketAddr) -> Vec<ConnectionEvent> {
        let connection = self.client(at).connection_mut();
        std::iter::from_fn(|| connection.poll_event()).collect()
    }
}

#[test]
fn a_client_of_ours_joins_within_two_round_trips_and_both_know_it() {
    let mut world =
        World::new(Conditions { latency: MS * 50, ..Conditions::default() }, &serde_json::json!({"x": 1}));
    let at = world.join();
    world.run(MS * 202);
    assert!(world.client(at).hello());
    assert!(
        matches!(&world.server_events[..], [ServerEvent::Connected(peer), ServerEvent::Host(Some(_)), ..]
        if peer.lock().hello() && peer.address() == at)
    );
    assert_eq!(world.state_of(at)["x"], 1, "hello, answer, proof, state: two round trips");
    assert_eq!(world.client(at).connection().status(), Status::Connected);
}

#[test]
fn packages_keep_their_rate_to_the_hundredth() {
    let mut world = World::new(Conditions { latency: MS, ..Conditions::default() }, &serde_json::json!({}));
    let at = world.join();
    world.run(MS * 1000);
    let before = world.delivered[&at];
    world.run(MS * 10_000);
    assert_eq!(world.delivered[&at] - before, 400);
    assert!(
        (399..=401).contains(&(world.client(at).connection().stats.sent - 40)),
        "{:?}",
        world.client(at).connection().stats
    );
}

#[test]
fn events_go_both_ways_with_their_acknowledgements() {
    let mut world =
        World::new(Conditions { latency: MS * 10, ..Conditions::default() }, &serde_json::json!({}));
    let at = world.join();
    world.client(at).dispatch(event("EARLY"), Some(1)).unwrap();
    world.run(MS * 200);
    let ServerEvent::Connected(peer) = world.server_events[0].clone() else { panic!("connected first") };
    let mut at_server = Vec::new();
    peer.take_events(&mut at_server);
    assert!(at_server.contains(&ConnectionEvent::Event(event("EARLY")[..].into())), "held until the proof");
    assert!(world.events_of(at).contains(&ConnectionEvent::Acknowledged(1)));

    peer.lock().dispatch(event("LATER"), Some(2)).unwrap();
    world.run(MS * 200);
    assert!(world.events_of(at).contains(&ConnectionEvent::Event(event("LATER")[..].into())));
    at_server.clear();
    peer.take_events(&mut at_server);
    assert_eq!(at_server, [ConnectionEvent::Acknowledged(2)]);
    let announced = world.server_events.iter().filter(|event| matches!(event, ServerEvent::Ready(_))).count();
    assert_eq!(announced, 2, "once until taken, and once more");
}

#[test]
fn a_bad_line_changes_nothing_in_the_end() {
    let bad = Conditions {
        latency: MS * 40,
        jitter: MS * 100,
        loss: 0.25,
        duplicate: 0.25,
        ..Conditions::default()
    };
    let mut world = World::new(bad, &serde_json::json!({"tick": 0, "players": {"a": 1}}));
    let clients = [world.join(), world.join(), world.join()];
    for tick in 1..=200 {
        world.push(&serde_json::json!({"tick": tick, "players": {format!("p{}", tick % 7): tick}}));
        world.run(MS * 20);
    }
    world.network.conditions = Conditions::default();
    world.run(MS * 2000);
    let states = clients.map(|at| world.state_of(at));
    assert_eq!(states[0]["tick"], 200);
    assert_eq!(states[0]["players"].as_object().unwrap().len(), 8);
    assert!(states.iter().all(|state| state["players"] == states[0]["players"]));
}

#[test]
fn corrupted_datagrams_are_counted_and_play_goes_on() {
    let noisy = Conditions { latency: MS * 10, corrupt: 0.5, ..Conditions::default() };
    let mut world = World::new(noisy, &serde_json::json!({"tick": 0}));
    let at = world.join();
    world.run(MS * 10_000);
    assert!(world.server.counters().malformed > 20);
    assert!(world.client(at).connection().stats.malformed > 20);
    // A sequence number that was corrupted and still passed may cost the session: then a fresh one follows.
    world.network.conditions.corrupt = 0.0;
    world.push(&serde_json::json!({"tick": 7}));
    world.run(MS * 15_000);
    let pulled = world.only_client().replica_mut().pull().unwrap();
    let state: serde_json::Value = rmp_serde::from_slice(&pulled.update).unwrap();
    assert_eq!(state["tick"], 7);
}

#[test]
fn silence_disconnects_and_is_forgotten_and_a_probe_comes_back() {
    let mut world = World::new(Conditions::default(), &serde_json::json!({"x": 1}));
    let at = world.join();
    world.run(MS * 500);
    world.network.conditions.loss = 1.0;
    world.run(MS * 5500);
    assert_eq!(world.client(at).connection().status(), Status::Disconnected);
    assert_eq!(world.server.peers().next().unwrap().lock().connection().status(), Status::Disconnected);
    world.push(&serde_json::json!({"x": 2}));
    world.network.conditions.loss = 0.0;
    world.run(MS * 1500);
    assert_eq!(
        world.client(at).connection().status(),
        Status::Connected,
        "the same session from the same port"
    );
    assert_eq!(world.state_of(at)["x"], 2);
    assert_eq!(world.server.counters().proven, 1);

    world.clients.clear();
    world.run(MS * 66_000);
    assert_eq!(world.server.connections(), 0);
    assert!(matches!(world.server_events[..], [.., ServerEvent::Removed(_), ServerEvent::Host(None)]));
    world.join();
    world.run(MS * 500);
    assert!(matches!(
        world.server_events.iter().rfind(|e| matches!(e, ServerEvent::Host(_))),
        Some(ServerEvent::Host(Some(_)))
    ));
}

#[test]
fn a_client_survives_the_restart_of_its_server() {
    let mut world = World::new(
        Conditions { latency: MS * 5, ..Conditions::default() },
        &serde_json::json!({"old": 1, "both": 1}),
    );
    let at = world.join();
    world.run(MS * 500);
    assert_eq!(world.state_of(at)["old"], 1);
    world.store = store(1, &serde_json::json!({"both": 2}));
    world.server = endpoint(&world.store);
    world.server_events.clear();
    world.run(MS * 12_000);
    let client = world.only_client();
    assert_eq!(client.connection().status(), Status::Connected);
    let pulled = client.replica_mut().pull().unwrap();
    let state: serde_json::Value = rmp_serde::from_slice(&pulled.update).unwrap();
    assert_eq!(state["both"], 2);
    assert_eq!(world.server.connections(), 1);
}

#[test]
fn a_client_that_starts_anew_on_its_old_port_takes_over() {
    let mut world =
        World::new(Conditions { latency: MS * 5, ..Conditions::default() }, &serde_json::json!({"x": 1}));
    let at = world.join();
    world.run(MS * 3000);
    let mut anew = ClientConnection::default();
    anew.connect(world.now);
    world.clients.insert(at, anew);
    world.run(MS * 1500);
    assert_eq!(world.state_of(at)["x"], 1);
    assert_eq!(world.server.connections(), 1);
    assert_eq!(world.server.counters().proven, 1);
}

#[test]
fn only_the_host_that_falls_silent_shuts_the_server_down() {
    let requested =
        |world: &World| world.server_events.iter().any(|e| matches!(e, ServerEvent::ShutdownRequested));
    let mut world =
        World::new(Conditions { latency: MS * 5, ..Conditions::default() }, &serde_json::json!({}));
    let (host, guest) = (world.join(), address("10.0.0.9:9"));
    world.run(MS * 500);
    let now = world.now;
    world.server.handle_datagram(now, guest, SHUTDOWN);
    world.server.handle_datagram(now, host, SHUT_ME_DOWN);
    world.server.handle_datagram(now, host, SHUTDOWN);
    world.run(MS * 2000);
    assert!(!requested(&world), "the host went on talking: somebody else asked in its name");
    assert_eq!(world.server.counters().shutdown_refused, 3);

    world.client(host).disconnect(now, true);
    world.run(MS * 1000);
    assert!(requested(&world));
    assert!(world.client(host).is_closed());
}

#[test]
fn big_events_have_precedence_and_the_state_follows() {
    let mut world = World::new(
        Conditions { latency: MS * 5, ..Conditions::default() },
        &serde_json::json!({"text": "x".repeat(1500)}),
    );
    let at = world.join();
    world.run(MS * 300);
    let ServerEvent::Connected(peer) = world.server_events[0].clone() else { panic!("connected first") };
    let big: Arc<[u8]> = msgpack::event(&"E".repeat(1900), &[0x90], &[0x80]).into();
    world.push(&serde_json::json!({"text": "y".repeat(1500)}));
    peer.lock().dispatch(Arc::clone(&big), None).unwrap();
    world.run(MS * 300);
    assert!(world.events_of(at).contains(&ConnectionEvent::Event(big[..].into())));
    assert_eq!(world.state_of(at)["text"], "y".repeat(1500));
}

#[test]
fn nothing_answers_is_said_once() {
    let mut client = ClientConnection::default();
    client.connect(Duration::ZERO);
    let mut said = 0;
    for step in 0..10_000 {
        let mut out = Vec::new();
        client.handle_timeout(MS * step);
        client.poll_transmit(MS * step, &mut out);
        said +=
            std::iter::from_fn(|| client.poll_action()).filter(|a| *a == ClientAction::Unanswered).count();
    }
    assert_eq!((said, client.connection().status()), (1, Status::Connecting));
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

#[test]
fn a_stranger_gets_at_most_three_bytes_for_one_and_no_state() {
    let store = store(500, &serde_json::json!({"secret": "treasure"}));
    let mut server = endpoint(&store);
    let mut raw = Raw::new(1);
    let (mut bytes_in, mut bytes_out, mut answers) = (0, 0, 0);
    for step in 0..400 {
        let datagram = raw.package(Sqn::ZERO, &[]);
        bytes_in += datagram.len();
        server.handle_datagram(MS * step * 25, raw.at, &datagram);
        for (to, answer) in sent(&mut server, MS * step * 25) {
            let package = Package::decode(Kind::Server, &answer).unwrap();
            assert_eq!((to, package.body), (raw.at, Body::Server { update: b"\x81\xaatime_order\xcd\0\0" }));
            bytes_out += answer.len();
            answers += 1;
            assert!(bytes_out <= 3 * bytes_in);
        }
    }
    assert!(answers > 5, "it is answered, but with waits between");
    assert!(answers < 100);
    assert_eq!(server.connections(), 0);
    assert!(server.poll_event().is_none());
}

#[test]
fn a_short_hello_never_buys_more_than_three_times_its_bytes() {
    let store = store(1, &serde_json::json!({}));
    let mut server = endpoint(&store);
    let mut raw = Raw::new(1);
    let datagram = raw.package(Sqn::ZERO, &[]);
    server.handle_datagram(MS, raw.at, &datagram);
    let first: usize = sent(&mut server, MS).iter().map(|(_, answer)| answer.len()).sum();
    assert!(first > 0 && first <= 3 * datagram.len());
    // Without another byte in, nothing more goes out, whatever time passes.
    assert!((2..5000).all(|step| sent(&mut server, MS * step).is_empty()));
}

#[test]
fn first_numbers_are_unlike_each_other_and_the_right_one_is_the_proof() {
    let store = store(1, &serde_json::json!({}));
    let mut server = endpoint(&store);
    let firsts: Vec<u16> = (1..=50)
        .map(|port| {
            let mut raw = Raw::new(port);
            server.handle_datagram(MS, raw.at, &raw.package(Sqn::ZERO, &[]));
            let (_, answer) = sent(&mut server, MS).pop().unwrap();
            Package::decode(Kind::Server, &answer).unwrap().header.sequence.value()
        })
        .collect();
    assert!(firsts.iter().collect::<std::collections::HashSet<_>>().len() > 40, "{firsts:?}");

    let mut raw = Raw::new(1);
    raw.sequence = Sqn::new(1);
    let wrong = Sqn::new(firsts[0] ^ 0x5555);
    server.handle_datagram(MS * 2, raw.at, &raw.package(wrong, &[]));
    assert_eq!((server.connections(), server.counters().wrong_acks), (0, 1));
    server.handle_datagram(MS * 3, raw.at, &raw.package(Sqn::new(firsts[0]), &[&event("HI")]));
    assert_eq!(server.connections(), 1);
    let ServerEvent::Connected(peer) = server.poll_event().unwrap() else { panic!("connected") };
    assert!(!peer.lock().hello());
    let (_, package) = sent(&mut server, MS * 3).pop().expect("its first package goes out at once");
    let package = Package::decode(Kind::Server, &package).unwrap();
    assert_eq!(package.header.sequence, Sqn::new(firsts[0]).next(), "numbers go on by one");
}

#[test]
fn guessing_acknowledgements_silences_the_guesser() {
    let store = store(1, &serde_json::json!({}));
    let mut server = endpoint(&store);
    let mut raw = Raw::new(1);
    server.handle_datagram(MS, raw.at, &raw.package(Sqn::ZERO, &[]));
    let (_, answer) = sent(&mut server, MS).pop().unwrap();
    let right = Package::decode(Kind::Server, &answer).unwrap().header.sequence;
    for guess in 1..=8 {
        server.handle_datagram(MS * 2, raw.at, &raw.package(right.ahead(100 * guess), &[]));
    }
    server.handle_datagram(MS * 3, raw.at, &raw.package(right, &[]));
    assert_eq!(server.connections(), 0, "silenced, even though this one is right");
    server.handle_datagram(MS * 5100, raw.at, &raw.package(Sqn::ZERO, &[]));
    let (_, answer) = sent(&mut server, MS * 5100).pop().expect("answered again after five seconds");
    let right = Package::decode(Kind::Server, &answer).unwrap().header.sequence;
    server.handle_datagram(MS * 5200, raw.at, &raw.package(right, &[]));
    assert_eq!(server.connections(), 1);
}

#[test]
fn early_events_are_bounded_and_what_finds_no_room_is_not_acknowledged() {
    let store = store(1, &serde_json::json!({}));
    let mut server = endpoint(&store);
    let mut raw = Raw::new(1);
    let big = msgpack::event(&"B".repeat(900), &[0x90], &[0x80]);
    for step in 1..=3 {
        server.handle_datagram(MS * step * 60, raw.at, &raw.package(Sqn::ZERO, &[&big]));
    }
    let answers = sent(&mut server, MS * 180);
    let last = Package::decode(Kind::Server, &answers.last().unwrap().1).unwrap();
    assert_eq!(last.header.ack, Sqn::ZERO, "they are lost if the proof never comes");
    assert_eq!(server.counters().over_limit, 1);
    server.handle_datagram(MS * 200, raw.at, &raw.package(last.header.sequence, &[]));
    let ServerEvent::Connected(peer) = server.poll_event().unwrap() else { panic!("connected") };
    let mut happened = Vec::new();
    peer.take_events(&mut happened);
    assert_eq!(happened.iter().filter(|e| matches!(e, ConnectionEvent::Event(_))).count(), 2);
    let (_, package) = sent(&mut server, MS * 200).pop().expect("its first package goes out at once");
    let header = Package::decode(Kind::Server, &package).unwrap().header;
    assert_eq!((header.ack, header.ack_bitfield >> 29), (Sqn::new(4), 0b011), "the third found no room");
}

#[test]
fn a_flood_of_strangers_keeps_the_table_small_and_clients_playing() {
    let mut world = World::new(Conditions::default(), &serde_json::json!({"x": 1}));
    let at = world.join();
    world.run(MS * 500);
    for step in 0..20_000u32 {
        let mut raw = Raw::new((step % 60_000) as u16 + 1);
        raw.at.set_ip(std::net::Ipv4Addr::from(step.wrapping_mul(2_654_435_761)).into());
        let datagram = raw.package(Sqn::ZERO, &[]);
        world.server.handle_datagram(world.now, raw.at, &datagram);
    }
    world.push(&serde_json::json!({"x": 2}));
    world.run(MS * 500);
    assert_eq!((world.server.connections(), world.state_of(at)["x"].as_u64()), (1, Some(2)));
    assert!(world.server.counters().evicted > 10_000);
}

#[test]
fn thousands_join_at_once() {
    let store = store(1, &serde_json::json!({}));
    let mut server = endpoint(&store);
    let mut crowd: HashMap<SocketAddr, Raw> =
        (0..3000).map(|n| Raw::new(1000 + n)).map(|raw| (raw.at, raw)).collect();
    let mut acks: HashMap<SocketAddr, Sqn> = HashMap::new();
    for step in 0..40 {
        let now = MS * 25 * step;
        for (at, raw) in &mut crowd {
            let ack = acks.get(at).copied().unwrap_or_default();
            server.handle_datagram(now, *at, &raw.package(ack, &[]));
        }
        for (to, bytes) in sent(&mut server, now) {
            acks.insert(to, Package::decode(Kind::Server, &bytes).unwrap().header.sequence);
        }
    }
    assert_eq!(server.connections(), 3000);
}

#[test]
fn packages_that_cannot_belong_to_the_session_are_dropped() {
    let mut world = World::new(Conditions::default(), &serde_json::json!({}));
    let at = world.join();
    world.run(MS * 2000);
    let forged = |sequence: u16, ack: u16| {
        let header = Header { sequence: Sqn::new(sequence), ack: Sqn::new(ack), ack_bitfield: 0 };
        let mut out = Vec::new();
        let mut writer =
            PackageWriter::new(&mut out, header, Body::Client { time_order: Sqn::ZERO }).unwrap();
        writer.push_event(&event("FORGED"), 2048);
        out
    };
    let peer = Arc::clone(world.server.peers().next().unwrap());
    let newest = peer.lock().connection().received.newest;
    let local = peer.lock().connection().local_sequence;
    for (sequence, ack) in [
        (newest.ahead(1000), local),
        (newest.next(), local.ahead(5)),
        (newest.next(), local.ahead(30_000)),
        (Sqn::ZERO, local),
    ] {
        world.server.handle_datagram(world.now, at, &forged(sequence.value(), ack.value()));
    }
    let mut happened = Vec::new();
    peer.take_events(&mut happened);
    assert!(!happened.iter().any(|event| matches!(event, ConnectionEvent::Event(_))));
    assert_eq!(world.server.counters().implausible + world.server.counters().malformed, 4);
}
