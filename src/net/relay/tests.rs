#![allow(clippy::disallowed_methods, reason = "the other ends of the relay are plain sockets")]

use std::net::UdpSocket;

use super::*;
use crate::wire::Sqn;

const LOOPBACK: &str = "127.0.0.1";

fn socket() -> (UdpSocket, u16) {
    let socket = UdpSocket::bind((LOOPBACK, 0)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let port = socket.local_addr().unwrap().port();
    (socket, port)
}

/// Sends numbers through a relay; which of them arrive at the server.
fn arrivals(conditions: Conditions, seed: u64) -> (Vec<u32>, RelayReport) {
    let (server, port) = socket();
    let (client, _) = socket();
    let relay = Relay::start((LOOPBACK, 0), (LOOPBACK, port), conditions, seed, None).unwrap();
    client.connect(relay.address()).unwrap();
    for number in 0..200_u32 {
        client.send(&number.to_be_bytes()).unwrap();
    }
    let mut arrived = Vec::new();
    let mut datagram = [0; 8];
    server.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    while let Ok(size) = server.recv(&mut datagram) {
        arrived.push(u32::from_be_bytes(datagram[..size].try_into().unwrap()));
    }
    arrived.sort_unstable();
    relay.stop();
    (arrived, relay.report())
}

#[test]
fn both_ways_take_the_latency_and_clients_are_told_apart() {
    let (server, port) = socket();
    let latency = Duration::from_millis(60);
    let conditions = Conditions { latency, ..Conditions::default() };
    let relay = Relay::start((LOOPBACK, 0), (LOOPBACK, port), conditions, 1, None).unwrap();
    let (clients, mut datagram) = ([socket().0, socket().0], [0; 16]);
    for (name, client) in [b"a", b"b"].into_iter().zip(&clients) {
        let begin = clock::now();
        client.send_to(name, relay.address()).unwrap();
        let (size, from) = server.recv_from(&mut datagram).unwrap();
        assert_eq!(&datagram[..size], name);
        server.send_to(&datagram[..size], from).unwrap();
        let size = client.recv(&mut datagram).unwrap();
        assert_eq!(&datagram[..size], name);
        assert!(clock::now().saturating_sub(begin) >= latency * 2);
    }
    relay.stop();
    let report = relay.report();
    assert_eq!((report.clients, report.up.sent, report.down.sent), (2, 2, 2));
}

#[test]
fn a_seed_decides_what_is_lost_and_what_comes_twice() {
    let conditions = Conditions { loss: 0.2, duplicate: 0.1, ..Conditions::default() };
    let (arrived, report) = arrivals(conditions, 7);
    assert_eq!(arrived, arrivals(conditions, 7).0);
    assert_ne!(arrived, arrivals(conditions, 8).0);
    assert_eq!(report.up.sent, 200);
    assert!(report.up.lost > 10 && report.up.duplicated > 3, "{report:?}");
    assert_eq!(arrived.len() as u64, report.up.sent - report.up.lost + report.up.duplicated);
}

#[test]
fn a_taken_port_is_an_error() {
    let (_server, port) = socket();
    let error = Relay::start((LOOPBACK, port), (LOOPBACK, port), Conditions::default(), 1, None).unwrap_err();
    assert!(matches!(error, NetError::AddressInUse { .. }));
}

#[test]
fn packages_are_watched_and_others_are_not() {
    let (server, port) = socket();
    let (client, client_port) = socket();
    let relay = Relay::start((LOOPBACK, 0), (LOOPBACK, port), Conditions::default(), 1, None).unwrap();
    let mut datagram = [0; 16];
    let package = |sequence, ack| {
        Header { sequence: Sqn::new(sequence), ack: Sqn::new(ack), ack_bitfield: u32::MAX }.encode()
    };
    client.send_to(b"foreign", relay.address()).unwrap();
    server.recv_from(&mut datagram).unwrap();
    for sequence in [1, 2, 4] {
        client.send_to(&package(sequence, 0), relay.address()).unwrap();
        let (_, from) = server.recv_from(&mut datagram).unwrap();
        server.send_to(&package(sequence, sequence), from).unwrap();
        client.recv(&mut datagram).unwrap();
    }
    relay.stop();
    let [line] = relay.lines()[..] else { panic!("one client") };
    assert_eq!(line.client.port(), client_port);
    assert_eq!((line.up.packages, line.up.bytes, line.up.missing, line.up.lost), (3, 36, 1, 0));
    assert_eq!((line.down.packages, line.down.missing), (3, 1));
    assert!(line.up.round_trip > 0.0 && line.down.round_trip == 0.0, "the client acknowledged nothing");
}
