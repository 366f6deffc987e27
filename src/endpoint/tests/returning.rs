//! Clients and servers that come, go and come back at awkward moments.

use super::*;

#[test]
fn a_proof_begins_the_session_whatever_was_lost_before_it() {
    // The last number before the proof is far behind, the same, or far ahead.
    for (before, proof) in [(1, 300), (5, 5), (100, 40)] {
        let store = store(1, &serde_json::json!({}));
        let mut server = endpoint(&store);
        let mut raw = Raw::new(1);
        raw.sequence = Sqn::new(before - 1);
        server.handle_datagram(MS, raw.at, &raw.package(Sqn::ZERO, &[]));
        let first = sequences(&mut server, MS)[0];
        raw.sequence = Sqn::new(proof - 1);
        server.handle_datagram(MS * 40, raw.at, &raw.package(first, &[]));
        assert_eq!(server.connections(), 1);
        assert_eq!(sequences(&mut server, MS * 40), [first.next()], "{before} then {proof}");
        assert_eq!(server.peers().next().unwrap().lock().connection().status(), Status::Connected);
        let _ = (0..70_000).step_by(10).map(|ms| sent(&mut server, MS * ms)).last();
        assert_eq!(server.connections(), 0, "forgotten when silent: {before} then {proof}");
    }
}

#[test]
fn a_server_that_takes_over_at_once_is_not_put_off_by_what_the_last_one_still_sent() {
    let store = store(1, &serde_json::json!({}));
    let mut server = endpoint(&store);
    let mut raw = Raw::new(1);
    raw.sequence = Sqn::new(500);
    server.handle_datagram(MS, raw.at, &raw.package(Sqn::new(700), &[]));
    let first = sequences(&mut server, MS)[0];
    // Packages of the server before were still on their way to the client.
    for late in 1..=20 {
        server.handle_datagram(MS * (1 + late), raw.at, &raw.package(Sqn::new(700).ahead(late as u16), &[]));
    }
    server.handle_datagram(MS * 30, raw.at, &raw.package(first, &[]));
    assert_eq!((server.connections(), server.counters().wrong_acks), (1, 0));
}

#[test]
fn a_client_that_starts_anew_on_the_port_of_a_lost_session_takes_over() {
    let mut world = World::with_latency(MS * 5, &serde_json::json!({"x": 1}));
    let at = world.join();
    world.run(MS * 3000);
    world.clients.clear();
    world.run(MS * 8000);
    assert_eq!(world.server.peers().next().unwrap().lock().connection().status(), Status::Disconnected);
    let mut anew = ClientConnection::default();
    anew.connect(world.now);
    world.clients.insert(at, anew);
    world.run(MS * 1000);
    assert_eq!(world.client(at).connection().status(), Status::Connected);
    assert_eq!(world.state_of(at)["x"], 1);
    assert!(world.server.peers().all(|peer| peer.lock().hello()), "known as one of ours again");
    assert_eq!((world.server.connections(), world.server.counters().proven), (1, 1));
}

#[test]
fn who_starts_anew_on_the_port_of_a_session_that_goes_on_replaces_it() {
    let mut world = World::with_latency(MS * 5, &serde_json::json!({"x": 1}));
    let at = world.join();
    world.run(MS * 500);
    let peer = Arc::clone(world.server.peers().next().unwrap());
    let take = || {
        let mut happened = Vec::new();
        peer.take_events(&mut happened);
        happened.retain(|event| !matches!(event, ConnectionEvent::Quality(_)));
        happened
    };
    assert_eq!(take(), [ConnectionEvent::Status(Status::Connected)]);
    let replaced = [
        ConnectionEvent::Farewell("replaced".into()),
        ConnectionEvent::Status(Status::Disconnected),
        ConnectionEvent::Status(Status::Connected),
    ];
    for lost_first in [false, true] {
        world.clients.clear();
        world.run(MS * if lost_first { 6000 } else { 10 });
        let was = if lost_first { take() } else { Vec::new() };
        peer.lock().dispatch(event("FOR THE FIRST"), Some(7)).unwrap();
        // What is under way to the first must not be the first thing that the other gets.
        world.run(MS * 10);
        let mut anew = ClientConnection::default();
        anew.connect(world.now);
        world.clients.insert(at, anew);
        world.run(MS * 500);
        let mut happened = take();
        assert!(happened.contains(&ConnectionEvent::TimedOut(7)), "{happened:?}");
        happened.retain(|event| *event != ConnectionEvent::TimedOut(7));
        if lost_first {
            // Whoever was told that it is gone is not told again.
            assert_eq!(was.last(), Some(&ConnectionEvent::Status(Status::Disconnected)));
            assert_eq!(happened, [ConnectionEvent::Status(Status::Connected)]);
        } else {
            assert_eq!(happened, replaced);
        }
    }
    assert_eq!((world.server.connections(), world.server.counters().proven), (1, 1));
}

#[test]
fn who_starts_anew_on_a_slow_line_is_in_sync_within_ten_seconds() {
    for latency in [20, 50, 100, 300] {
        let mut world = World::with_latency(MS * latency, &serde_json::json!({"x": 1}));
        let at = world.join();
        world.run(MS * 3000);
        let mut anew = ClientConnection::default();
        anew.connect(world.now);
        world.clients.insert(at, anew);
        // What is still under way to the first hides the answer from the other, who tries again from another port.
        world.run(MS * 10_000);
        let copy = world.clients.values_mut().next().unwrap().replica_mut();
        assert_ne!(copy.time_order(), Sqn::ZERO, "with {latency} ms each way");
    }
}

#[test]
fn who_starts_anew_again_and_again_fills_no_queue() {
    let mut world = World::new(Conditions::default(), &serde_json::json!({"x": 1}));
    let at = world.join();
    for _ in 0..20 {
        world.run(MS * 3500);
        let mut anew = ClientConnection::default();
        anew.connect(world.now);
        world.clients.insert(at, anew);
    }
    world.run(MS * 3500);
    let peer = Arc::clone(world.server.peers().next().unwrap());
    let stats = peer.lock().connection().stats;
    let mut happened = Vec::new();
    peer.take_events(&mut happened);
    let last = happened.iter().rfind(|event| matches!(event, ConnectionEvent::Status(_)));
    assert_eq!(last, Some(&ConnectionEvent::Status(Status::Connected)));
    assert!(happened.len() <= 33, "{happened:?}");
    let all = stats.queue_full as usize + happened.len();
    assert!(all > 3 * 20, "what was left out is counted: {all}");
}

#[test]
fn a_hello_that_came_again_before_an_outage_ends_no_session() {
    let mut world = World::with_latency(MS * 5, &serde_json::json!({"x": 1}));
    let at = world.join();
    world.run(MS * 500);
    let peer = world.first_peer();
    let token = peer.lock().token();
    world.cut = (true, false);
    world.run(MS * 10);
    let mut hello = Vec::new();
    let header = Header { sequence: Sqn::new(1), ack: Sqn::ZERO, ack_bitfield: HELLO };
    PackageWriter::new(&mut hello, header, Body::Client { time_order: Sqn::ZERO }).unwrap();
    world.server.handle_datagram(world.now, at, &hello);
    world.run(MS * 6000);
    assert_eq!(peer.lock().connection().status(), Status::Disconnected);
    world.cut = (false, false);
    world.run(MS * 1500);
    assert_eq!(peer.lock().connection().status(), Status::Connected);
    assert_eq!((peer.lock().token(), world.server.connections()), (token, 1));
}

#[test]
fn a_lost_session_sends_strangers_no_more_than_three_bytes_for_one() {
    let mut world = World::new(Conditions::default(), &serde_json::json!({"text": "x".repeat(1000)}));
    let at = world.join();
    world.run(MS * 1000);
    let peer = world.first_peer();
    world.clients.clear();
    world.run(MS * 8000);
    let last = peer.lock().connection().local_sequence;
    let mut raw = Raw::new(1);
    let mut numbers = vec![last];
    for step in 0..100 {
        let now = world.now + MS * 25 * step;
        let datagram = raw.package(Sqn::ZERO, &[]);
        world.server.handle_datagram(now, at, &datagram);
        let answers = sent(&mut world.server, now);
        assert!(answers.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() <= 3 * datagram.len());
        numbers.extend(
            answers.iter().map(|(_, bytes)| Package::decode(Kind::Server, bytes).unwrap().header.sequence),
        );
    }
    assert!(numbers.len() > 10);
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0].next()), "numbers go on by one: {numbers:?}");
    assert_eq!(peer.lock().connection().status(), Status::Disconnected);
}

#[test]
fn a_server_that_is_replaced_within_a_moment_leaves_no_stale_key() {
    let mut world = World::with_latency(MS * 5, &serde_json::json!({"old": 1, "both": 1}));
    let at = world.join();
    world.run(MS * 500);
    assert_eq!(world.state_of(at)["old"], 1);
    for round in 2..12 {
        world.replace_server(&serde_json::json!({"both": round, format!("only{round}"): 1}));
        world.run(MS * 1000);
        let (is_fresh, state) = pull(world.client(at));
        assert!(is_fresh, "nothing of the server before is left");
        assert_eq!(state.as_object().unwrap().len(), 2, "{state}");
        assert_eq!(state["both"], round);
    }
}

#[test]
fn tombstones_are_cleared_away_though_nobody_is_there() {
    let store = store(1, &serde_json::json!({}));
    let mut server = endpoint(&store);
    let mut now = Duration::ZERO;
    for round in 0..100_u16 {
        for update in [serde_json::json!({format!("npc{round}"): 1}), serde_json::json!({"other": 1})] {
            store.lock().unwrap().push(now, Sqn::new(2 * round), &encode(&update)).unwrap();
        }
        let mut gone = vec![0x81];
        msgpack::write_str(&mut gone, &format!("npc{round}"));
        gone.extend_from_slice(&crate::wire::limits::TO_DELETE_MSGPACK);
        store.lock().unwrap().push(now, Sqn::new(2 * round + 1), &gone).unwrap();
        now += MS * 100;
        // As the driver does: only when something is said to be due.
        if server.poll_timeout().is_some_and(|at| at <= now) {
            server.handle_timeout(now);
        }
    }
    assert!(store.lock().unwrap().tree().tombstones() <= 20);
}

#[test]
fn a_shutdown_in_the_name_of_a_host_that_was_lost_is_refused() {
    let mut world = World::new(Conditions::default(), &serde_json::json!({}));
    let host = world.join();
    world.run(MS * 500);
    world.clients.clear();
    world.run(MS * 8000);
    world.server.handle_datagram(world.now, host, SHUTDOWN);
    world.run(MS * 3000);
    assert!(!world.server_events.iter().any(|event| matches!(event, ServerEvent::ShutdownRequested)));
    assert_eq!(world.server.counters().shutdown_refused, 1);
}

#[test]
fn a_client_that_was_away_asks_for_the_state_though_its_game_sleeps() {
    let mut world = World::with_latency(MS * 5, &serde_json::json!({"x": 1}));
    let at = world.join();
    world.run(MS * 500);
    let peer = world.first_peer();
    let big: Arc<[u8]> = msgpack::event(&"E".repeat(1900), &[0x90], &[0x80]).into();
    // Nobody takes the events: no more fit. Then nothing comes for a while, then an event again.
    for _ in 0..150 {
        peer.lock().dispatch(Arc::clone(&big), None).unwrap();
        world.run(MS * 30);
    }
    assert!(world.client(at).connection().stats.queue_full > 0);
    world.run(MS * 300);
    let asked = world.client(at).connection().local_sequence;
    world.network.conditions.loss = 1.0;
    world.run(MS * 2000);
    peer.lock().dispatch(Arc::clone(&big), None).unwrap();
    world.network.conditions.loss = 0.0;
    for _ in 0..500 {
        let now = world.now;
        if world.client(at).connection().silence(now) < MS * 1000 {
            break;
        }
        world.run(MS);
    }
    assert!(world.client(at).connection().local_sequence.newer_than(asked));
    assert!(world.client(at).replica_mut().is_resyncing());
}

#[test]
fn events_without_end_let_the_state_through() {
    // Each event leaves no room for a value that cannot be split, or none for any state.
    for (event, value) in [(400, 1700), (1300, 10), (1900, 1700)] {
        let mut world = World::with_latency(MS * 5, &serde_json::json!({"text": "x".repeat(value)}));
        let at = world.join();
        world.run(MS * 300);
        let peer = world.first_peer();
        world.push(&serde_json::json!({"text": "y".repeat(value)}));
        let event: Arc<[u8]> = msgpack::event(&"E".repeat(event), &[0x90], &[0x80]).into();
        for _ in 0..50 {
            peer.lock().dispatch(Arc::clone(&event), None).unwrap();
            world.run(MS * 20);
        }
        assert_eq!(world.state_of(at)["text"], "y".repeat(value));
        assert!(world.events_of(at).len() > 15, "and are not held up for long");
    }
}

/// Peers that say anything at any time, some of it true.
#[test]
fn whatever_peers_say_numbers_go_on_by_one_and_nothing_is_left_behind() {
    for seed in 0..40 {
        let mut random = fastrand::Rng::with_seed(seed);
        let store = store(1, &serde_json::json!({"text": "x".repeat(300)}));
        let mut server = endpoint(&store);
        // Each with the newest number sent to it, and the bytes it sent and was sent as a stranger.
        let mut peers: Vec<_> = (1..=6).map(|port| (Raw::new(port), Sqn::ZERO, 0, 0)).collect();
        let mut now = MS;
        let event = event("EVENT");
        for _ in 0..2000 {
            let pauses = [0, 1, 20, 25, 30, 100, 1100, 5100, 61_000];
            now += MS * pauses[random.usize(..60).min(random.usize(..9))];
            let known: Vec<_> = server.peers().map(|peer| peer.address()).collect();
            let (raw, newest, bytes_in, _) = &mut peers[random.usize(..6)];
            let ack = match random.u8(..8) {
                0 => Sqn::ZERO,
                1 => Sqn::new(random.u16(..)),
                2 => newest.ahead(random.u16(..3)),
                _ => *newest,
            };
            raw.sequence = match random.u8(..30) {
                0 => Sqn::ZERO,
                1 => Sqn::new(random.u16(..)),
                2 => raw.sequence.ahead(random.u16(..300)),
                _ => raw.sequence,
            };
            let mut datagram = raw.package(ack, &[&event[..]][..random.usize(..2)]);
            if random.u8(..50) == 0 {
                datagram = [SHUTDOWN, SHUT_ME_DOWN, b"", &datagram[..13]][random.usize(..4)].to_vec();
            }
            *bytes_in += datagram.len();
            server.handle_datagram(now, raw.at, &datagram);
            for (to, bytes) in sent(&mut server, now) {
                let sequence = Package::decode(Kind::Server, &bytes).expect("well formed").header.sequence;
                let (_, newest, bytes_in, bytes_out) =
                    peers.iter_mut().find(|(raw, ..)| raw.at == to).unwrap();
                if known.contains(&to) {
                    assert_eq!(sequence, newest.next(), "seed {seed}, {to}");
                } else if server.peers().all(|peer| peer.address() != to) {
                    *bytes_out += bytes.len();
                    assert!(*bytes_out <= 3 * *bytes_in, "seed {seed}, {to}");
                }
                *newest = sequence;
            }
            for event in std::iter::from_fn(|| server.poll_event()) {
                if let ServerEvent::Ready(peer) = event {
                    peer.take_events(&mut Vec::new());
                }
            }
        }
        assert!(server.counters().proven > 5);
        let end = now + MS * 70_000;
        while now < end {
            now += MS * 10;
            sent(&mut server, now);
        }
        assert_eq!((server.connections(), server.peers().count()), (0, 0), "seed {seed}");
    }
}

#[test]
fn a_client_that_starts_anew_within_a_moment_learns_the_truth_about_its_events() {
    let mut world = World::with_latency(MS * 5, &serde_json::json!({"x": 1}));
    let at = world.join();
    world.run(MS * 700);
    let peer = Arc::clone(world.server.peers().next().unwrap());
    for round in 0..3 {
        let mut anew = ClientConnection::default();
        anew.connect(world.now);
        world.clients.insert(at, anew);
        let names: Vec<_> = (0..20).map(|n| format!("{round}.{n}")).collect();
        for (id, name) in names.iter().enumerate() {
            world.client(at).dispatch(event(name), Some(id as u64)).unwrap();
            world.run(MS * 30);
        }
        world.run(MS * 1500);
        let mut arrived = Vec::new();
        peer.take_events(&mut arrived);
        let fates = world.events_of(at);
        for (id, name) in names.iter().enumerate() {
            let came = arrived.contains(&ConnectionEvent::Event(event(name)[..].into()));
            let fate =
                if came { ConnectionEvent::Acknowledged } else { ConnectionEvent::TimedOut }(id as u64);
            assert!(fates.contains(&fate), "{name} came: {came}, {fates:?}");
        }
        assert!(arrived.len() > 15, "only the first were lost");
        assert_eq!(world.state_of(at)["x"], 1);
    }
}

#[test]
fn a_server_that_has_received_nothing_yet_is_heard_whatever_the_number_of_the_client() {
    let mut client = ClientConnection::default();
    client.connect(MS);
    client.connection_mut().local_sequence = Sqn::new(40_000);
    for sequence in 5..8 {
        let mut datagram = Vec::new();
        let header = Header { sequence: Sqn::new(sequence), ..Header::default() };
        let update = empty_update(Sqn::new(9));
        assert!(PackageWriter::new(&mut datagram, header, Body::Server { update: &update }).is_ok());
        client.handle_datagram(MS * 2, &datagram);
    }
    let stats = client.connection().stats;
    assert_eq!((stats.received, stats.implausible), (3, 0));
    assert_eq!(client.replica_mut().time_order(), Sqn::ZERO, "no answer to what was asked");
}

#[test]
fn a_farewell_is_told_as_it_was_said_or_as_a_timeout_however_bad_the_line() {
    let line = Conditions { latency: MS * 30, jitter: MS * 10, loss: 0.5, ..Conditions::default() };
    let mut told = HashMap::new();
    for seed in 0..60 {
        let mut world = World::new(line, &serde_json::json!({"x": 1}));
        world.network = Network::new(seed, line);
        let at = world.join();
        world.run(MS * 1500);
        world.events_of(at);
        let said = ["shutdown", "kicked", "banned"][seed as usize % 3];
        let (now, host) = (world.now, at.ip());
        match said {
            "shutdown" => world.server.close(now),
            "kicked" => assert!(world.server.ban(now, host, Some(at.port()), Some(MS * 10_000), said)),
            _ => assert!(world.server.ban(now, host, None, None, said)),
        }
        // After its last word the server answers nobody.
        world.run(MS);
        world.cut = (true, true);
        world.run(MS * 5200);
        let connection = world.only_client().connection_mut();
        let changes: Vec<_> = std::iter::from_fn(|| connection.poll_event())
            .filter(|event| matches!(event, ConnectionEvent::Status(_) | ConnectionEvent::Farewell(_)))
            .collect();
        let gone = ConnectionEvent::Status(Status::Disconnected);
        let farewell = ConnectionEvent::Farewell(said.into());
        let is_told = changes.len() > 1;
        assert_eq!(changes, if is_told { vec![farewell, gone] } else { vec![gone] }, "seed {seed}");
        *told.entry((said, is_told)).or_insert(0) += 1;
    }
    for said in ["shutdown", "kicked", "banned"] {
        assert!(told[&(said, true)] >= 15, "most get through, for it is said three times: {told:?}");
    }
    assert!(told.keys().any(|(_, is_told)| !is_told), "and some do not: {told:?}");
}

#[test]
fn the_copies_of_a_farewell_do_not_count_as_lost() {
    let mut world = World::new(Conditions::default(), &serde_json::json!({"x": 1}));
    let at = world.join();
    world.run(MS * 500);
    let (now, host) = (world.now, at.ip());
    assert!(world.server.ban(now, host, None, None, "go"));
    world.run(MS * 500);
    let connection = world.only_client().connection_mut();
    assert_eq!(connection.status(), Status::Disconnected);
    let stats = connection.stats;
    assert_eq!((stats.late, stats.duplicate, stats.malformed), (0, 0, 0));
}
