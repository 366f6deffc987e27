//! What there is a limit to: addresses, sources, packages, and what a forger can say in another's name.

use super::*;

fn header(sequence: Sqn, ack: Sqn) -> Vec<u8> {
    let mut out = Vec::new();
    let header = Header { sequence, ack, ack_bitfield: 0 };
    PackageWriter::new(&mut out, header, Body::Client { time_order: Sqn::ZERO }).unwrap();
    out
}

/// Proves an address by hand; says whether that made a connection.
fn prove(server: &mut ServerEndpoint, now: Duration, at: SocketAddr) -> bool {
    let before = server.connections();
    server.handle_datagram(now, at, &header(Sqn::new(1), Sqn::ZERO));
    let first = sent(server, now)
        .into_iter()
        .find(|(to, _)| *to == at)
        .map(|(_, bytes)| Package::decode(Kind::Server, &bytes).unwrap().header.sequence);
    let Some(first) = first else { return false };
    server.handle_datagram(now + MS, at, &header(Sqn::new(2), first));
    server.connections() > before
}

#[test]
fn a_flood_of_addresses_costs_little_and_disturbs_no_player() {
    let mut world = World::with_latency(MS * 20, &serde_json::json!({"tick": 0}));
    let at = world.join();
    world.run(MS * 1000);
    let before = world.delivered[&at];
    let mut random = fastrand::Rng::with_seed(1);
    let padding = event(&"x".repeat(1000));
    let mut flood = header(Sqn::new(1), Sqn::ZERO);
    PackageWriter::reopen(&mut flood, 0).push_event(&padding, 2048);
    for _ in 0..10_000 {
        for _ in 0..10 {
            let from = SocketAddr::from((random.u32(..).to_be_bytes(), random.u16(1..)));
            world.server.handle_datagram(world.now, from, &flood);
        }
        world.run(MS);
    }
    let rate = (world.delivered[&at] - before) as f64 / 10.0;
    assert!(rate >= 39.5, "{rate} packages a second");
    assert_eq!(world.server.connections(), 1);
    let memory = world.server.gauges().unproven_memory;
    assert!((4 << 20..8 << 20).contains(&memory), "the flood fills it, and no more: {memory} bytes");
}

#[test]
fn port_0_is_dropped_and_counted() {
    let mut server = endpoint(&store(1, &serde_json::json!({})));
    for datagram in [&header(Sqn::new(1), Sqn::ZERO)[..], SHUTDOWN, b""] {
        server.handle_datagram(MS, address("9.9.9.9:0"), datagram);
    }
    assert_eq!(sent(&mut server, MS), []);
    let counters = server.counters();
    assert_eq!((counters.unanswerable, counters.unproven, counters.malformed), (3, 0, 0));
}

#[test]
fn a_source_has_a_share_of_the_connections_unless_it_is_private() {
    let store = store(1, &serde_json::json!({}));
    let mut server = endpoint(&store);
    let joined = |server: &mut ServerEndpoint, ip: [u8; 4], now: Duration| {
        (1..=100).filter(|port| prove(server, now, SocketAddr::from((ip, *port)))).count()
    };
    assert_eq!(joined(&mut server, [9, 9, 9, 9], MS), 64, "so many in a second");
    assert_eq!(joined(&mut server, [9, 9, 9, 8], MS), 64, "each");
    assert_eq!(joined(&mut server, [127, 0, 0, 1], MS), 100);
    assert_eq!(joined(&mut server, [192, 168, 7, 7], MS), 100);
    assert_eq!(server.counters().over_source, 72);

    let config = ServerConfig { max_connections_per_source: Some(3), ..ServerConfig::default() };
    let mut server = ServerEndpoint::new(config, Arc::clone(&store), [7; 16]);
    assert_eq!(joined(&mut server, [127, 0, 0, 1], MS), 3, "set, it holds for all");
}

#[test]
fn no_source_can_have_the_table_of_strangers_for_itself() {
    let store = store(1, &serde_json::json!({}));
    let mut server = endpoint(&store);
    let other = address("8.8.4.4:53");
    server.handle_datagram(MS, other, &header(Sqn::new(1), Sqn::ZERO));
    let first = Package::decode(Kind::Server, &sent(&mut server, MS)[0].1).unwrap().header.sequence;
    for port in 1..=60_000 {
        server.handle_datagram(
            MS * 2,
            SocketAddr::from(([9, 9, 9, 9], port)),
            &header(Sqn::new(1), Sqn::ZERO),
        );
    }
    assert!(server.counters().evicted >= 60_000 - 64);
    server.handle_datagram(MS * 3, other, &header(Sqn::new(2), first));
    assert_eq!(server.connections(), 1);
}

#[test]
fn a_blind_forgery_passes_about_once_in_a_million() {
    let mut world = World::with_latency(MS * 50, &serde_json::json!({"x": 1}));
    let at = world.join();
    world.run(MS * 5000);
    let now = world.now;
    let peer = world.server.peers().next().unwrap().clone();
    let honest = world.client(at).connection().acknowledgement().ack;
    let mut connection = peer.lock();
    let mut passes = |sequence: u16, ack: Sqn| {
        let datagram = header(Sqn::new(sequence), ack);
        let package = Package::decode(Kind::Client, &datagram).unwrap();
        let seen = !matches!(
            connection.connection().received.classify(package.header.sequence),
            crate::connection::Arrival::Newest | crate::connection::Arrival::Older
        );
        connection.belongs(now, &package) == session::Belongs::Yes && !seen
    };
    let sequences: Vec<u16> = (1..=65_535).filter(|sequence| passes(*sequence, honest)).collect();
    let acks = (1..=65_535).filter(|ack| passes(sequences[0], Sqn::new(*ack))).count();
    let chance = sequences.len() as f64 * acks as f64 / 65_535.0_f64.powi(2);
    assert!((1e-8..1.2e-6).contains(&chance), "{} numbers and {acks} acks: {chance}", sequences.len());
}

#[test]
fn a_forged_first_package_delays_nobody() {
    // Somebody speaks in the name of a client that joins: far ahead, so that all the client says seems late; or as
    // if it came anew, while it acknowledges what a server before us sent.
    let (mut cases, mut delayed) = (0, 0);
    for (seed, forged, ack) in (0..200).flat_map(|seed| [(seed, 30_000, 0), (seed, 1, 0), (seed, 1, 20_000)])
    {
        for own_ack in [0, 40_000] {
            let store = store(1, &serde_json::json!({}));
            let mut server = ServerEndpoint::new(ServerConfig::default(), store, [seed; 16]);
            let mut raw = Raw::new(1);
            if own_ack == 0 {
                server.handle_datagram(MS, raw.at, &raw.package(Sqn::ZERO, &[]));
            }
            server.handle_datagram(MS * 2, raw.at, &header(Sqn::new(forged), Sqn::new(ack)));
            raw.sequence = Sqn::new(own_ack);
            let (mut newest, mut playing) = (Sqn::new(own_ack), None);
            for turn in 1..120 {
                let now = MS * (turn * 25);
                for (_, bytes) in sent(&mut server, now) {
                    let sequence = Package::decode(Kind::Server, &bytes).unwrap().header.sequence;
                    if newest == Sqn::ZERO || sequence.newer_than(newest) {
                        newest = sequence;
                    }
                }
                server.handle_datagram(now, raw.at, &raw.package(newest, &[]));
                let received = server.peers().next().map(|peer| peer.lock().connection().stats.received);
                if received.is_some_and(|received| received > 5) {
                    playing = Some(now);
                    break;
                }
            }
            if own_ack == 0 || playing.is_some() {
                assert!(playing.is_some_and(|at| at < MS * 1000), "{seed} {forged} {ack} {own_ack}");
            }
            cases += u32::from(own_ack != 0);
            delayed += u32::from(playing.is_none());
        }
    }
    // Not each that held a session can be sent a number that is news to it after what the forger was sent.
    assert!(delayed * 5 < cases, "{delayed} of {cases}");
}

#[test]
fn who_sends_too_much_is_heard_at_the_rate_that_is_allowed() {
    let config = ServerConfig { max_package_rate: 100, max_event_rate: 4096, ..ServerConfig::default() };
    let store = store(1, &serde_json::json!({}));
    let mut server = ServerEndpoint::new(config, store, [7; 16]);
    let mut raw = Raw::new(1);
    server.handle_datagram(MS, raw.at, &raw.package(Sqn::ZERO, &[]));
    let mut newest = Package::decode(Kind::Server, &sent(&mut server, MS)[0].1).unwrap().header.sequence;
    let play = |server: &mut ServerEndpoint, raw: &mut Raw, newest: &mut Sqn, begin, step, text: usize| {
        let padding = event(&"x".repeat(text));
        for ms in (begin..begin + 5000).step_by(step) {
            for (_, bytes) in sent(server, MS * ms) {
                *newest = Package::decode(Kind::Server, &bytes).unwrap().header.sequence;
            }
            let events: &[&[u8]] = if text > 0 { &[&padding] } else { &[] };
            server.handle_datagram(MS * ms, raw.at, &raw.package(*newest, events));
        }
    };
    play(&mut server, &mut raw, &mut newest, 2_u32, 1, 0);
    let peer = server.peers().next().unwrap().clone();
    let stats = peer.lock().connection().stats;
    assert!((590..=610).contains(&stats.received), "a second's worth at once, then the rate: {stats:?}");
    assert_eq!(stats.over_rate, server.counters().over_rate);
    assert!(stats.over_rate > 4000);
    assert_eq!(peer.lock().connection().status(), Status::Connected);

    play(&mut server, &mut raw, &mut newest, 6000, 25, 1000);
    let events = peer.lock().connection().stats.events_received;
    assert!((18..=24).contains(&events), "4096 bytes a second: {events}");
}

#[test]
fn what_honest_clients_send_is_never_too_much() {
    let jittery = Conditions { latency: MS * 40, jitter: MS * 900, duplicate: 0.25, ..Conditions::default() };
    let mut world = World::new(jittery, &serde_json::json!({"x": 1}));
    let at = world.join();
    let padding = event(&"x".repeat(40));
    for _ in 0..500 {
        for _ in 0..5 {
            world.client(at).dispatch(Arc::clone(&padding), None).unwrap();
        }
        world.run(MS * 20);
    }
    assert_eq!(world.server.counters().over_rate, 0);
}

#[test]
fn a_server_that_does_not_allow_it_is_not_shut_down_by_its_host() {
    let config = ServerConfig { host_shutdown: false, ..ServerConfig::default() };
    let mut world = World::with_latency(MS * 5, &serde_json::json!({}));
    world.server = ServerEndpoint::new(config, Arc::clone(&world.store), [7; 16]);
    let host = world.join();
    world.run(MS * 500);
    let now = world.now;
    world.client(host).disconnect(now, true);
    world.run(MS * 2000);
    assert!(!world.server_events.iter().any(|e| matches!(e, ServerEvent::ShutdownRequested)));
    assert_eq!(world.server.counters().shutdown_refused, 3);
}

#[test]
fn what_nobody_takes_is_bounded_by_the_limit_of_each_client() {
    const CLIENTS: u16 = 2000;
    let mut server = endpoint(&store(1, &serde_json::json!({})));
    let most = ServerConfig::default().connection.max_waiting_events;
    let said = event("SAID");
    // One client proves itself after the other: what is sent to the first meanwhile needs no answer.
    let joined = |server: &mut ServerEndpoint, n: u16| {
        let mut raw = Raw::new(n);
        server.handle_datagram(MS, raw.at, &raw.package(Sqn::ZERO, &[]));
        let mut out = Vec::new();
        server.poll_transmit(MS, &mut out).unwrap();
        let first = Package::decode(Kind::Server, &out).unwrap().header.sequence;
        server.handle_datagram(MS, raw.at, &raw.package(first, &[]));
        (raw, first)
    };
    let mut raws: Vec<_> = (1..=CLIENTS).map(|n| joined(&mut server, n)).collect();
    for step in 0..60 {
        for (raw, first) in &mut raws {
            let datagram = raw.package(*first, &[&said[..]; 20]);
            server.handle_datagram(MS * 20 * (step + 1), raw.at, &datagram);
        }
    }
    // For each that it is there and that there is something to take, and once who is host.
    let told = std::iter::from_fn(|| server.poll_event()).count();
    assert_eq!(told, 2 * usize::from(CLIENTS) + 1);
    for peer in server.peers() {
        let connection = peer.lock();
        let stats = connection.connection().stats;
        assert_eq!(stats.events_received as usize, most / 20 * 20, "the oldest stay");
        assert_eq!(stats.queue_full as usize, 60 - most / 20, "the rest is counted");
        assert!(connection.connection().gauges().events_to_handle <= most + 32);
    }
}

#[test]
fn whoever_is_not_known_to_be_gone_keeps_a_place() {
    let store = store(1, &serde_json::json!({}));
    let config = ServerConfig { max_connections: 3, ..ServerConfig::default() };
    let mut server = ServerEndpoint::new(config, store, [7; 16]);
    let at = |n: u8| SocketAddr::from(([10, 0, 0, n], 7));
    assert!(prove(&mut server, MS, at(1)));
    server.set_unheard(2);
    assert!(!prove(&mut server, MS, at(2)));
    assert_eq!(server.counters().over_limit, 1);
    server.set_unheard(1);
    assert!(prove(&mut server, MS, at(3)));
}
