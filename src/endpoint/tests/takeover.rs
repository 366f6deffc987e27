//! Clients of ours that go on from another address, by the token of their session.

use super::*;
use crate::connection::{token_event, token_in};

fn good_line() -> Conditions {
    Conditions { latency: MS * 20, ..Conditions::default() }
}

impl World {
    /// Lets a client's packages come from another address, which the client does not notice.
    fn rebind(&mut self, at: SocketAddr) -> SocketAddr {
        let client = self.clients.remove(&at).unwrap();
        let to = self.fresh_address();
        self.clients.insert(to, client);
        to
    }

    fn only_peer(&self) -> Arc<Peer> {
        let mut peers = self.server.peers();
        let peer = Arc::clone(peers.next().expect("a peer"));
        assert!(peers.next().is_none(), "one peer");
        peer
    }

    /// How long it takes until the client has what is pushed now.
    fn time_to_sync(&mut self, value: u32) -> Duration {
        self.push(&serde_json::json!({"x": value}));
        let begin = self.now;
        while self.now < begin + MS * 20_000 {
            self.run(MS * 5);
            let pulled = self.only_client().replica_mut().pull();
            let state =
                pulled.map(|pulled| rmp_serde::from_slice::<serde_json::Value>(&pulled.update).unwrap());
            if state.is_some_and(|state| state["x"] == value) {
                return self.now.saturating_sub(begin);
            }
        }
        panic!("not in sync");
    }
}

#[test]
fn a_session_goes_on_after_a_rebinding_as_if_nothing_had_happened() {
    let mut world = World::new(good_line(), &serde_json::json!({"x": 1}));
    let at = world.join();
    world.run(MS * 500);
    let peer = world.only_peer();
    for turn in 0..5 {
        let before = peer.address();
        peer.lock().dispatch_retried(event("KEPT"), Some(turn), 3).unwrap();
        let to = world.rebind(before);
        let took = world.time_to_sync(turn as u32 + 10);
        assert!(took < MS * 400, "{took:?}");
        world.run(MS * 1500);
        assert_eq!((peer.address(), world.server.connections()), (to, 1));
        assert!(Arc::ptr_eq(&peer, &world.only_peer()));
        assert!(world.only_client().hello() && peer.lock().hello());
        let moved = ServerEvent::Moved(Arc::clone(&peer), before);
        assert!(world.server_events.iter().any(|event| format!("{event:?}") == format!("{moved:?}")));
        let mut happened = Vec::new();
        peer.take_events(&mut happened);
        assert!(happened.contains(&ConnectionEvent::Acknowledged(turn)), "{happened:?}");
    }
    let counters = world.server.counters();
    assert_eq!((counters.proven, counters.moved, counters.wrong_tokens), (1, 5, 0));
    assert_eq!(world.server_events.iter().filter(|e| matches!(e, ServerEvent::Host(_))).count(), 1);
    // The old address means nothing any more.
    let received = peer.lock().connection().stats.received;
    let sequence = world.only_client().connection().local_sequence.next();
    let header = Header { sequence, ack: peer.lock().connection().local_sequence, ack_bitfield: 0 };
    let mut forged = Vec::new();
    PackageWriter::new(&mut forged, header, Body::Client { time_order: Sqn::ZERO }).unwrap();
    world.server.handle_datagram(world.now, at, &forged);
    assert_eq!(peer.lock().connection().stats.received, received);
}

#[test]
fn a_session_survives_rebindings_on_a_bad_line() {
    for seed in 0..30 {
        let bad = Conditions { latency: MS * 40, jitter: MS * 60, loss: 0.2, duplicate: 0.2, ..good_line() };
        let mut world = World::new(bad, &serde_json::json!({"x": 1}));
        world.network = Network::new(seed, bad);
        world.join();
        world.run(MS * 3000);
        for turn in 0..4 {
            let at = world.only_peer().address();
            if world.clients.contains_key(&at) {
                world.rebind(at);
            }
            world.time_to_sync(turn + 10);
            world.run(MS * 2000);
        }
        let counters = *world.server.counters();
        assert!(counters.moved >= 4, "{seed}: {counters:?}");
        assert_eq!((counters.proven, world.server.connections()), (1, 1), "{seed}: {counters:?}");
    }
}

#[test]
fn after_an_outage_a_fresh_port_finds_the_same_session() {
    let mut world = World::new(good_line(), &serde_json::json!({"x": 1}));
    world.join();
    world.run(MS * 500);
    let peer = world.only_peer();
    world.network.conditions.loss = 1.0;
    world.run(MS * 15_000);
    assert!(!world.clients.contains_key(&peer.address()), "it has gone to another port");
    world.network.conditions.loss = 0.0;
    let back = world.time_to_sync(2);
    assert!(back < MS * 1500, "a probe a second, and the state: {back:?}");
    assert!(Arc::ptr_eq(&peer, &world.only_peer()));
    assert_eq!((world.server.counters().moved, world.server.connections()), (1, 1));
    assert!(world.clients.contains_key(&peer.address()));
}

#[test]
fn whatever_the_outage_the_same_session_is_in_sync_again_soon() {
    for outage in [500, 1200, 3000, 4900, 6000, 9000, 20_000, 50_000] {
        for cut in [(true, true), (true, false), (false, true)] {
            let mut world = World::new(good_line(), &serde_json::json!({"x": 1}));
            world.join();
            world.run(MS * 1000);
            let peer = world.only_peer();
            world.cut = cut;
            world.run(MS * outage);
            world.cut = (false, false);
            let took = world.time_to_sync(2);
            // A probe a second, and what takes three or four ways there and back.
            assert!(took < MS * 1400, "{outage} {cut:?}: {took:?}");
            world.run(MS * 3000);
            assert!(Arc::ptr_eq(&peer, &world.only_peer()), "{outage} {cut:?}");
            assert!(world.only_client().hello(), "{outage} {cut:?}");
        }
    }
}

#[test]
fn sessions_and_their_numbers_go_on_past_the_wrap_wherever_they_move() {
    for begin in [65_500, 65_535, 32_700] {
        let mut world = World::new(good_line(), &serde_json::json!({"x": 1}));
        let at = world.join();
        world.client(at).connection_mut().local_sequence = Sqn::new(begin);
        world.run(MS * 500);
        let peer = world.only_peer();
        for turn in 0..30 {
            let from = peer.address();
            world.rebind(from);
            let took = world.time_to_sync(turn + 10);
            assert!(took < MS * 400, "{begin} {turn}: {took:?}");
            world.run(MS * 300);
            assert!(Arc::ptr_eq(&peer, &world.only_peer()), "{begin} {turn}");
        }
        assert_eq!(world.server.counters().moved, 30);
    }
}

#[test]
fn a_clock_that_leaps_costs_no_more_than_a_silence() {
    for leap in [10_000, 3_600_000] {
        let mut world = World::new(good_line(), &serde_json::json!({"x": 1}));
        world.join();
        world.run(MS * 1000);
        world.now += MS * leap;
        assert!(world.time_to_sync(2) < MS * 5000, "{leap}");
        world.run(MS * 3000);
        assert!(world.only_peer().lock().hello());
    }
}

#[test]
fn a_restarted_server_knows_its_clients_for_ours_again() {
    for latency in [5, 20, 150] {
        let line = Conditions { latency: MS * latency, ..Conditions::default() };
        let mut world = World::new(line, &serde_json::json!({"x": 1}));
        world.join();
        world.run(MS * 2500);
        world.store = store(1, &serde_json::json!({"x": 2}));
        world.server = ServerEndpoint::new(ServerConfig::default(), Arc::clone(&world.store), [8; 16]);
        let took = world.time_to_sync(3);
        assert!(took < MS * 700 + MS * latency * 6, "{latency}: {took:?}");
        world.run(MS * 1000);
        let peer = world.only_peer();
        assert!(peer.lock().hello() && world.only_client().hello(), "{latency}");
        assert_eq!(world.server.counters().wrong_tokens, 1, "that of the server before");
        let token = peer.lock().token();
        assert_eq!(world.only_client().connection().token(), token, "and it has a token that counts");
    }
}

/// A client that speaks by hand: says hello, or not, proves its address, and shows a token.
fn show_token(server: &mut ServerEndpoint, port: u16, hello: bool, token: [u8; 16], ms: u32) {
    let mut raw = Raw::new(port);
    let bits = if hello { HELLO } else { 0 };
    let mut package = |ack, ack_bitfield, token: Option<&[u8; 16]>| {
        raw.sequence = raw.sequence.next();
        let mut out = Vec::new();
        let header = Header { sequence: raw.sequence, ack, ack_bitfield };
        let mut writer =
            PackageWriter::new(&mut out, header, Body::Client { time_order: Sqn::ZERO }).unwrap();
        if let Some(token) = token {
            assert!(writer.push_event(&token_event(token), 2048));
        }
        out
    };
    let at = SocketAddr::from(([10, 0, 0, 3], port));
    // Shown before the proof it means nothing.
    server.handle_datagram(MS * ms, at, &package(Sqn::ZERO, bits, Some(&token)));
    let answers: Vec<_> = sent(server, MS * ms).into_iter().filter(|(to, _)| *to == at).collect();
    let first = Package::decode(Kind::Server, &answers[0].1).unwrap().header.sequence;
    server.handle_datagram(MS * (ms + 1), at, &package(first, 0, Some(&token)));
}

#[test]
fn only_the_right_token_of_a_client_of_ours_moves_a_session() {
    let mut world = World::new(good_line(), &serde_json::json!({"x": 1}));
    let at = world.join();
    world.run(MS * 500);
    let peer = world.only_peer();
    let token = peer.lock().token().unwrap();
    let now = world.now.as_millis() as u32;
    let mut wrong = token;
    wrong[15] ^= 1;
    show_token(&mut world.server, 1, true, wrong, now);
    show_token(&mut world.server, 2, false, token, now + 10);
    let counters = *world.server.counters();
    assert_eq!((counters.moved, counters.wrong_tokens, counters.proven), (0, 1, 3));
    assert_eq!(peer.address(), at);
    assert_eq!(world.server.connections(), 3, "they are clients like any other");
    show_token(&mut world.server, 4, true, token, now + 20);
    assert_eq!((world.server.counters().moved, world.server.connections()), (1, 3));
    assert_eq!(peer.address(), address("10.0.0.3:4"));
}

#[test]
fn a_token_is_no_event_and_originals_see_none() {
    let mut world = World::new(good_line(), &serde_json::json!({"x": 1}));
    let at = world.join();
    let mut original = Raw::new(9);
    world.server.handle_datagram(world.now, original.at, &original.package(Sqn::ZERO, &[]));
    let answer = sent(&mut world.server, world.now).pop().unwrap().1;
    let first = Package::decode(Kind::Server, &answer).unwrap().header.sequence;
    world.server.handle_datagram(world.now, original.at, &original.package(first, &[]));
    for _ in 0..1000 {
        world.now += MS;
        let (now, server) = (world.now, address(SERVER));
        for (to, bytes) in sent(&mut world.server, now) {
            let package = Package::decode(Kind::Server, &bytes).unwrap();
            assert!(to != original.at || package.events().all(|event| token_in(event).is_none()));
            world.network.send(now, server, to, &bytes);
        }
        world.step();
    }
    world.rebind(at);
    world.run(MS * 1000);
    assert_eq!(world.server.counters().moved, 1);
    let seen = |happened: &[ConnectionEvent]| happened.iter().any(|e| matches!(e, ConnectionEvent::Event(_)));
    for peer in world.server.peers() {
        let mut happened = Vec::new();
        peer.take_events(&mut happened);
        assert!(!seen(&happened), "{happened:?}");
    }
    let connection = world.only_client().connection_mut();
    assert!(connection.token().is_some());
    let happened: Vec<_> = std::iter::from_fn(|| connection.poll_event()).collect();
    assert!(!seen(&happened), "{happened:?}");
}

#[test]
fn a_client_shows_an_original_server_neither_token_nor_numbers() {
    let mut world = World::new(good_line(), &serde_json::json!({"x": 1}));
    let at = world.join();
    world.run(MS * 500);
    let mut client = world.clients.remove(&at).unwrap();
    assert!(client.connection().token().is_some());
    // An original takes its place: it begins with 1, acknowledges what comes, and never says hello.
    let (mut now, mut window) = (world.now, crate::connection::ReceiveWindow::default());
    let mut sequence = Sqn::ZERO;
    let mut silent_since = None;
    for turn in 0..800 {
        now += MS * 25;
        let mut out = Vec::new();
        client.handle_timeout(now);
        while client.poll_transmit(now, &mut out) {
            let package = Package::decode(Kind::Client, &out).unwrap();
            assert!(window.newest == Sqn::ZERO || package.header.sequence.since(window.newest) > -32);
            window.receive(package.header.sequence);
            assert!(package.events().all(|event| token_in(event).is_none()), "an original dies of it");
            if turn > 100 {
                assert!(package.events().all(|event| crate::wire::EventNumber::of(event).is_none()));
                assert_ne!(package.header.ack, Sqn::ZERO);
            }
            out.clear();
        }
        if client.poll_action() == Some(ClientAction::FreshPort) {
            window = crate::connection::ReceiveWindow::default();
            (sequence, silent_since) = (Sqn::ZERO, Some(turn));
        }
        if turn % 50 == 0 {
            client.dispatch_retried(event("HELLO"), None, 2).unwrap();
        }
        sequence = sequence.next();
        let header = Header { sequence, ack: window.newest, ack_bitfield: window.bitfield };
        let update = empty_update(Sqn::new(5));
        PackageWriter::new(&mut out, header, Body::Server { update: &update }).unwrap();
        client.handle_datagram(now, &out);
    }
    assert_eq!(client.connection().status(), Status::Connected, "{silent_since:?}");
    assert!(!client.hello());
}

/// An original client, as far as these tests need one: it takes what is newer, and says what it has.
struct Original {
    raw: Raw,
    newest: Sqn,
    time_order: Sqn,
    state: serde_json::Map<String, serde_json::Value>,
}

impl Original {
    fn send(&mut self, server: &mut ServerEndpoint, now: Duration) {
        self.raw.sequence = self.raw.sequence.next();
        let header = Header { sequence: self.raw.sequence, ack: self.newest, ack_bitfield: 0 };
        let mut out = Vec::new();
        PackageWriter::new(&mut out, header, Body::Client { time_order: self.time_order }).unwrap();
        server.handle_datagram(now, self.raw.at, &out);
    }

    fn receive(&mut self, bytes: &[u8]) {
        let package = Package::decode(Kind::Server, bytes).unwrap();
        let sequence = package.header.sequence;
        assert!(self.newest == Sqn::ZERO || sequence.since(self.newest) > -32, "it dies of that");
        assert!(package.events().all(|event| token_in(event).is_none()));
        self.newest = sequence;
        let Body::Server { update } = package.body else { unreachable!() };
        let label = msgpack::update_time_order(update).unwrap();
        if label.newer_than(self.time_order) {
            self.time_order = label;
            self.state.extend(rmp_serde::from_slice::<serde_json::Map<_, _>>(update).unwrap());
        }
    }
}

#[test]
fn an_original_on_another_port_is_another_connection_and_in_sync_within_a_second() {
    let store = store(1, &serde_json::json!({"x": 1, "y": 1}));
    let mut server = endpoint(&store);
    let mut original = Original {
        raw: Raw::new(1),
        newest: Sqn::ZERO,
        time_order: Sqn::ZERO,
        state: serde_json::Map::new(),
    };
    let mut now = MS;
    for port in 1..20 {
        original.raw.at = SocketAddr::from(([10, 0, 0, 3], port));
        let time_order = store.lock().unwrap().time_order().next();
        store.lock().unwrap().push(now, time_order, &encode(&serde_json::json!({"x": port + 1}))).unwrap();
        let (begin, mut proven) = (now, None);
        while original.state.get("x") != Some(&(port + 1).into()) {
            now += MS * 25;
            original.send(&mut server, now);
            proven = proven.or((server.counters().proven == u64::from(port)).then_some(now));
            for (to, bytes) in sent(&mut server, now) {
                if to == original.raw.at {
                    original.receive(&bytes);
                }
            }
            assert!(now < begin + MS * 2000, "{port}");
        }
        assert!(now < proven.expect("proven first") + MS * 1000, "{port}");
        assert_eq!(server.connections(), usize::from(port), "the others are not forgotten yet");
        assert_eq!(original.state["y"], 1);
    }
    assert_eq!(server.counters().moved, 0);
}

#[test]
fn nobody_can_say_hello_in_the_name_of_an_original() {
    for forged_first in [true, false] {
        let store = store(1, &serde_json::json!({"x": 1}));
        let mut server = endpoint(&store);
        let mut raw = Raw::new(1);
        let header = Header { sequence: Sqn::new(1), ack: Sqn::ZERO, ack_bitfield: HELLO };
        let mut forged = Vec::new();
        PackageWriter::new(&mut forged, header, Body::Client { time_order: Sqn::ZERO }).unwrap();
        let own = raw.package(Sqn::ZERO, &[]);
        for datagram in if forged_first { [&forged, &own] } else { [&own, &forged] } {
            server.handle_datagram(MS, raw.at, datagram);
        }
        let mut newest = Sqn::ZERO;
        for turn in 1..40 {
            for (_, bytes) in sent(&mut server, MS * turn * 25) {
                newest = Package::decode(Kind::Server, &bytes).unwrap().header.sequence;
            }
            server.handle_datagram(MS * turn * 25, raw.at, &raw.package(newest, &[]));
        }
        let peer = server.peers().next().expect("proven").clone();
        assert!(!peer.lock().hello(), "forged first: {forged_first}");
    }
}

#[test]
fn a_server_that_runs_again_handles_no_event_twice() {
    let mut world = World::new(good_line(), &serde_json::json!({"x": 1}));
    let at = world.join();
    world.run(MS * 1000);
    let peer = world.only_peer();
    world.client(at).dispatch_retried(event("ONCE"), Some(1), 20).unwrap();
    // It arrives, and its acknowledgement does not.
    world.cut = (false, true);
    world.run(MS * 200);
    world.server.close(world.now);
    world.server = ServerEndpoint::new(ServerConfig::default(), Arc::clone(&world.store), [8; 16]);
    world.server.remember(Arc::clone(&peer));
    world.cut = (false, false);
    world.run(MS * 4000);
    assert!(Arc::ptr_eq(&peer, &world.only_peer()));
    assert!(world.events_of(at).contains(&ConnectionEvent::Acknowledged(1)));
    let mut happened = Vec::new();
    peer.take_events(&mut happened);
    let events = happened.iter().filter(|event| matches!(event, ConnectionEvent::Event(_)));
    assert_eq!(events.count(), 1, "{happened:?}");
    assert_eq!(peer.lock().connection().stats.events_repeated, 1);
}
