//! Clients and servers that mean well, on good lines and bad ones.

use super::*;

#[test]
fn a_client_of_ours_joins_within_two_round_trips_and_both_know_it() {
    let mut world = World::with_latency(MS * 50, &serde_json::json!({"x": 1}));
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
    let mut world = World::with_latency(MS * 10, &serde_json::json!({}));
    let at = world.join();
    world.client(at).dispatch(event("EARLY"), Some(1)).unwrap();
    world.run(MS * 200);
    let peer = world.first_peer();
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
    assert_eq!(pull(world.only_client()).1["tick"], 7);
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
    let mut world = World::with_latency(MS * 5, &serde_json::json!({"old": 1, "both": 1}));
    let at = world.join();
    world.run(MS * 500);
    assert_eq!(world.state_of(at)["old"], 1);
    world.replace_server(&serde_json::json!({"both": 2}));
    world.server_events.clear();
    world.run(MS * 12_000);
    let client = world.only_client();
    assert_eq!(client.connection().status(), Status::Connected);
    assert_eq!(pull(client).1["both"], 2);
    assert_eq!(world.server.connections(), 1);
}

#[test]
fn a_client_that_starts_anew_on_its_old_port_takes_over() {
    let mut world = World::with_latency(MS * 5, &serde_json::json!({"x": 1}));
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
    let mut world = World::with_latency(MS * 5, &serde_json::json!({}));
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
    let mut world = World::with_latency(MS * 5, &serde_json::json!({"text": "x".repeat(1500)}));
    let at = world.join();
    world.run(MS * 300);
    let peer = world.first_peer();
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
