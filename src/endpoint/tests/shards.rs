//! Endpoints of one server, and clients that come from one to another.

use super::*;
use crate::endpoint::Commons;

/// A world whose server has two shards, of which the clients come to one; the other.
fn two_shards(config: ServerConfig, state: &serde_json::Value) -> (World, ServerEndpoint, Commons) {
    let mut world = World::with_latency(MS * 5, state);
    let commons = Commons::default();
    let shard = |secret| ServerEndpoint::shard(config, Arc::clone(&world.store), secret, &commons);
    let (one, other) = (shard([7; 16]), shard([8; 16]));
    world.server = one;
    (world, other, commons)
}

/// Lets a shard to which nothing comes go on by itself; what it sends and says.
fn alone(shard: &mut ServerEndpoint, from: Duration, time: Duration) -> (usize, Vec<ServerEvent>) {
    let (mut sent, mut out) = (0, Vec::new());
    for ms in 0..time.as_millis() as u32 {
        shard.handle_timeout(from + MS * ms);
        while shard.poll_transmit(from + MS * ms, &mut out).is_some() {
            sent += 1;
        }
    }
    (sent, std::iter::from_fn(|| shard.poll_event()).collect())
}

#[test]
fn a_session_goes_on_in_another_shard_and_back() {
    let (mut world, mut other, commons) = two_shards(ServerConfig::default(), &serde_json::json!({"x": 0}));
    world.join();
    world.run(MS * 500);
    let peer = Arc::clone(world.server.peers().next().unwrap());
    for turn in 0..4_u32 {
        let before = peer.address();
        peer.lock().dispatch_retried(event("KEPT"), Some(turn.into()), 3).unwrap();
        let client = world.clients.remove(&before).unwrap();
        let to = world.fresh_address();
        world.clients.insert(to, client);
        std::mem::swap(&mut world.server, &mut other);
        world.client(to).dispatch(event("MINE"), None).unwrap();
        world.push(&serde_json::json!({"x": turn + 1}));
        world.run(MS * 1500);
        assert_eq!(world.state_of(to)["x"], turn + 1);
        let mut happened = Vec::new();
        peer.take_events(&mut happened);
        assert!(happened.contains(&ConnectionEvent::Acknowledged(turn.into())), "{happened:?}");
        let mine = happened.iter().filter(|happened| matches!(happened, ConnectionEvent::Event(_)));
        assert_eq!(mine.count(), 1, "each event once");
        assert_eq!((peer.address(), commons.connections()), (to, 1));
        // Even a shard that has not looked for a minute neither sends to the client nor forgets it.
        let (sent, said) = alone(&mut other, world.now, MS * 70_000);
        assert_eq!((sent, said.len(), other.peers().count()), (0, 0, 0), "{said:?}");
    }
    other.close(world.now);
    assert_eq!(peer.lock().connection().status(), Status::Connected);
    let hosts = world.server_events.iter().filter(|event| matches!(event, ServerEvent::Host(_)));
    assert_eq!(hosts.count(), 1, "it has been host all the time");
    world.server.close(world.now);
    assert_eq!((peer.lock().connection().status(), commons.connections()), (Status::Disconnected, 0));
}

#[test]
fn what_one_shard_forgot_is_known_to_another() {
    let (mut world, mut other, _) = two_shards(ServerConfig::default(), &serde_json::json!({"x": 0}));
    let at = world.join();
    world.client(at).dispatch_retried(event("MINE"), None, 3).unwrap();
    world.run(MS * 500);
    assert!(world.server.ban(world.now, at.ip(), Some(at.port()), None, "kicked"));
    std::mem::swap(&mut world.server, &mut other);
    world.run(MS * 12_000);
    assert_eq!(world.server.connections(), 1, "it came back from another port");
    let counters = world.server.counters();
    assert_eq!((counters.proven, counters.moved, counters.wrong_tokens), (1, 0, 0), "its token was known");
}

#[test]
fn limits_and_the_host_are_those_of_all_shards() {
    let config = ServerConfig { max_connections: 2, ..ServerConfig::default() };
    let (mut world, mut other, commons) = two_shards(config, &serde_json::json!({"x": 0}));
    let at = world.join();
    world.run(MS * 300);
    let first = Arc::clone(world.server.peers().next().unwrap());
    world.clients.clear();
    std::mem::swap(&mut world.server, &mut other);
    let second = world.join();
    world.run(MS * 300);
    world.join();
    world.run(MS * 300);
    assert_eq!((world.server.connections(), commons.connections()), (1, 2));
    assert!(world.server.counters().over_limit > 0, "two clients are all there may be");
    let is_host = |event: &&ServerEvent| matches!(event, ServerEvent::Host(Some(_)));
    assert_eq!(world.server_events.iter().filter(is_host).count(), 1);
    world.server.handle_datagram(world.now, second, b"shutdown");
    assert_eq!(world.server.counters().shutdown_refused, 1, "the host is at the other shard");

    assert!(other.ban(world.now, at.ip(), Some(at.port()), None, "kicked"));
    assert_eq!(first.lock().connection().status(), Status::Disconnected);
    world.join();
    world.run(MS * 500);
    assert_eq!(commons.connections(), 2, "there is room for one more");
    assert_eq!(world.server_events.iter().filter(is_host).count(), 2, "who came next is host");
}

#[test]
fn a_deletion_waits_for_the_clients_of_every_shard() {
    let state = serde_json::json!({"x": 1, "y": 2});
    let (mut world, mut other, _) = two_shards(ServerConfig::default(), &state);
    let at = world.join();
    world.run(MS * 300);
    assert_eq!(world.state_of(at)["y"], 2);
    world.cut = (true, true);
    let mut gone = vec![0x81, 0xa1, b'y'];
    gone.extend_from_slice(&crate::wire::limits::TO_DELETE_MSGPACK);
    {
        let mut store = world.store.lock().unwrap();
        let next = store.time_order().next();
        store.push(world.now, next, &gone).unwrap();
    }
    // The other shard has no clients, and would clear everything away.
    alone(&mut other, world.now, MS * 3000);
    world.cut = (false, false);
    world.run(MS * 500);
    let pulled = world.client(at).replica_mut().pull().expect("what changed");
    let expected = &gone[1..];
    assert!(pulled.update.windows(expected.len()).any(|part| part == expected), "{:?}", pulled.update);
}
