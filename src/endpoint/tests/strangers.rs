//! Who has not proven its address, and what does not belong to a session.

use super::*;

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
fn as_many_as_may_be_unproven_join_at_once_within_three_round_trips() {
    const DELAY: usize = 4;
    const JOINING: u16 = 1024;
    let config = ServerConfig { max_unproven: usize::from(JOINING), ..ServerConfig::default() };
    let mut server = ServerEndpoint::new(config, store(1, &serde_json::json!({})), [7; 16]);
    let mut crowd: Vec<_> = (0..JOINING).map(|n| (Raw::new(1000 + n), Sqn::ZERO)).collect();
    // Packages of all of them come at the same time, a tenth of a second after they were sent, and so do answers. Who
    // has proven itself makes room at once, for the eighth whose buckets were full.
    let mut under_way: std::collections::VecDeque<Vec<(SocketAddr, Vec<u8>)>> =
        vec![Vec::new(); 2 * DELAY].into();
    for step in 0..24 {
        let now = MS * 25 * step;
        for (to, bytes) in under_way.pop_front().unwrap() {
            let (_, ack) = &mut crowd[usize::from(to.port() - 1000)];
            *ack = Package::decode(Kind::Server, &bytes).unwrap().header.sequence;
        }
        for (raw, ack) in &mut crowd {
            let datagram = raw.package(*ack, &[]);
            server.handle_datagram(now, raw.at, &datagram);
        }
        under_way.push_back(sent(&mut server, now));
    }
    assert_eq!(server.connections(), usize::from(JOINING));
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

#[test]
fn a_silenced_address_is_heard_again_after_five_seconds_though_it_never_paused() {
    let store = store(1, &serde_json::json!({}));
    let mut server = endpoint(&store);
    let mut raw = Raw::new(1);
    server.handle_datagram(MS, raw.at, &raw.package(Sqn::ZERO, &[]));
    let first = sequences(&mut server, MS)[0];
    for guess in 1..=8 {
        server.handle_datagram(MS * 2, raw.at, &raw.package(first.ahead(100 * guess), &[]));
    }
    let proven = (0..280).map(|turn| MS * (25 * turn + 3)).find(|&now| {
        server.handle_datagram(now, raw.at, &raw.package(first, &[]));
        server.connections() == 1
    });
    let proven = proven.expect("heard again");
    assert!((MS * 5000..MS * 5100).contains(&proven), "{proven:?}");
}

#[test]
fn who_was_silent_for_five_seconds_is_forgotten_with_what_it_said() {
    for (pause, is_known) in [(4990, true), (5010, false)] {
        let store = store(1, &serde_json::json!({}));
        let mut server = endpoint(&store);
        let mut raw = Raw::new(1);
        server.handle_datagram(MS, raw.at, &raw.package(Sqn::ZERO, &[&event("EARLY")]));
        let (_, answer) = sent(&mut server, MS).pop().unwrap();
        let first = Package::decode(Kind::Server, &answer).unwrap().header.sequence;
        assert!(server.gauges().unproven_entries == 1);
        server.handle_datagram(MS * (1 + pause), raw.at, &raw.package(first, &[]));
        assert_eq!(server.connections() == 1, is_known, "after {pause} ms");
        assert_eq!(server.counters().evicted, 0, "nobody took its place");
        // Forgotten, it proves itself with what it is sent then.
        let now = MS * (2 + pause);
        let mut answers = sent(&mut server, now);
        let (_, answer) = answers.pop().unwrap();
        let fresh = Package::decode(Kind::Server, &answer).unwrap().header.sequence;
        server.handle_datagram(now, raw.at, &raw.package(fresh, &[]));
        assert_eq!(server.connections(), 1);
        let mut happened = Vec::new();
        server.peers().next().unwrap().take_events(&mut happened);
        let came = happened.iter().any(|event| matches!(event, ConnectionEvent::Event(_)));
        assert_eq!(came, is_known, "what it said before is forgotten, too");
    }
}

#[test]
fn who_guessed_the_proof_is_sent_little_more() {
    let store = store(1, &serde_json::json!({"text": "x".repeat(1500)}));
    let mut server = endpoint(&store);
    let mut raw = Raw::new(1);
    // The second session takes up the peer of the first, which was sent and has acknowledged much.
    for round in 0..2 {
        let begin = MS * 100_000 * round;
        server.handle_datagram(begin, raw.at, &raw.package(Sqn::ZERO, &[]));
        let mut newest = sequences(&mut server, begin)[0];
        server.handle_datagram(begin, raw.at, &raw.package(newest, &[]));
        let peer = Arc::clone(server.peers().next().unwrap());
        let mut bytes_out = 0;
        for step in 1..200 {
            let big = msgpack::event(&"E".repeat(1900), &[0x90], &[0x80]);
            peer.lock().dispatch(big.into(), None).unwrap();
            for (_, bytes) in sent(&mut server, begin + MS * 25 * step) {
                bytes_out += bytes.len();
                newest = Package::decode(Kind::Server, &bytes).unwrap().header.sequence;
            }
        }
        assert!((3000..16_000).contains(&bytes_out), "{bytes_out} bytes in 5 s");
        for step in 1..20 {
            server.handle_datagram(begin + MS * 4900, raw.at, &raw.package(newest, &[]));
            newest =
                sequences(&mut server, begin + MS * (4900 + 25 * step)).last().copied().unwrap_or(newest);
        }
        assert!(peer.lock().connection().stats.acknowledged > 5);
        let stats = peer.lock().connection().stats;
        assert!(stats.bytes_sent as usize > bytes_out + 10_000, "and what waited follows");
        server.close(begin + MS * 10_000);
        server = endpoint(&store);
        server.remember(peer);
    }
}

#[test]
fn a_stranger_proves_itself_with_what_it_was_sent_lately_not_ever() {
    let store = store(1, &serde_json::json!({}));
    let mut server = endpoint(&store);
    let mut raw = Raw::new(1);
    let mut numbers = Vec::new();
    let mut now = MS;
    while numbers.len() < 70_000 {
        server.handle_datagram(now, raw.at, &raw.package(Sqn::ZERO, &[]));
        numbers.extend(sequences(&mut server, now));
        now += MS * 200;
    }
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0].next()), "never the same twice in a row");
    let [.., old] = numbers[..numbers.len() - 100] else { panic!("many") };
    server.handle_datagram(now, raw.at, &raw.package(old, &[]));
    assert_eq!((server.connections(), server.counters().wrong_acks), (0, 1));
    server.handle_datagram(now, raw.at, &raw.package(numbers[numbers.len() - 20], &[]));
    assert_eq!(server.connections(), 1);
    assert_eq!(sequences(&mut server, now), [numbers[numbers.len() - 1].next()]);
}

#[test]
fn an_address_speaks_by_its_newest_package_whichever_comes_last() {
    let mut world = World::new(Conditions::default(), &serde_json::json!({"x": 1}));
    let at = world.join();
    world.run(MS * 500);
    let held = world.client(at).replica_mut().time_order();
    let token = world.server.peers().next().unwrap().lock().token().unwrap();
    world.clients.clear();
    let from = address("10.0.0.3:1");
    let package = |sequence, ack, time_order| {
        let header = Header { sequence: Sqn::new(sequence), ack, ack_bitfield: super::super::HELLO };
        let mut out = Vec::new();
        let mut writer = PackageWriter::new(&mut out, header, Body::Client { time_order }).unwrap();
        assert!(writer.push_event(&crate::connection::token_event(&token), 2048));
        out
    };
    let updates = |server: &mut ServerEndpoint, now| -> Vec<_> {
        let to_it = sent(server, now).into_iter().filter(|(to, _)| *to == from);
        let update = |bytes: Vec<u8>| match Package::decode(Kind::Server, &bytes).unwrap() {
            Package { header, body: Body::Server { update }, .. } => {
                (header.sequence, rmp_serde::from_slice::<serde_json::Value>(update).unwrap())
            }
            _ => panic!("no update"),
        };
        to_it.map(|(_, bytes)| update(bytes)).collect()
    };
    // It asks for everything again; what it sent before comes later.
    let now = world.now;
    world.server.handle_datagram(now, from, &package(500, Sqn::ZERO, Sqn::ZERO));
    let mut first = updates(&mut world.server, now);
    world.server.handle_datagram(now + MS * 1000, from, &package(499, Sqn::ZERO, held));
    let answers = updates(&mut world.server, now + MS * 1000);
    assert!(!first.is_empty() && !answers.is_empty());
    first.extend(answers);
    for (_, update) in &first {
        assert_eq!(*update, serde_json::json!({"time_order": 0}), "what it does not have is not confirmed");
    }
    world.server.handle_datagram(now + MS * 1001, from, &package(498, first[0].0, held));
    assert_eq!(world.server.counters().moved, 1);
    let (_, update) = updates(&mut world.server, now + MS * 1001).remove(0);
    assert_eq!(update["x"], 1, "everything");
}
