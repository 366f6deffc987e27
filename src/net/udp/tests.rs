//! Sockets against sockets of the standard library, over loopback.
#![allow(clippy::disallowed_methods, reason = "a test is a peer of its own")]

use std::future::poll_fn;
use std::net::UdpSocket as Plain;
use std::time::Duration;

use super::*;
use crate::net::NetError;

fn in_runtime<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime
        .block_on(async { tokio::time::timeout(Duration::from_secs(10), future).await.expect("timed out") })
}

fn peer(host: &str) -> Plain {
    let peer = Plain::bind((host, 0)).unwrap();
    peer.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    peer
}

/// Receives until `count` datagrams came.
async fn receive(socket: &mut UdpSocket, counters: &Counters, count: usize) -> Vec<(SocketAddr, Vec<u8>)> {
    let mut got = Vec::new();
    while got.len() < count {
        poll_fn(|cx| socket.poll_readable(cx)).await;
        while socket.receive(counters, |from, bytes| got.push((from, bytes.to_vec()))) == Received::Some {}
    }
    got
}

fn fill(outbox: &mut Outbox, to: SocketAddr, datagrams: impl Iterator<Item = Vec<u8>>) {
    for datagram in datagrams {
        outbox.buffer().extend_from_slice(&datagram);
        outbox.seal(to);
    }
}

#[test]
fn many_datagrams_come_and_go_whole() {
    in_runtime(async {
        let counters = Counters::default();
        let mut socket = UdpSocket::adopt(bind("127.0.0.1", 0).unwrap(), BATCH).unwrap();
        let address = socket.io.local_addr().unwrap();
        let peer = peer("127.0.0.1");
        // Equal lengths in a row from one sender are what segmentation offload would put together.
        let datagrams: Vec<Vec<u8>> = (0..100_usize).map(|n| vec![n as u8; 1 + n / 10 * 200]).collect();
        for datagram in &datagrams {
            peer.send_to(datagram, address).unwrap();
        }
        let got = receive(&mut socket, &counters, 100).await;
        assert!(got.iter().all(|(from, _)| *from == peer.local_addr().unwrap()));
        assert_eq!(got.into_iter().map(|(_, bytes)| bytes).collect::<Vec<_>>(), datagrams);

        let mut outbox = Outbox::default();
        fill(&mut outbox, peer.local_addr().unwrap(), datagrams.iter().cloned());
        socket.send(&mut outbox, &counters);
        assert_eq!(outbox.len(), 0);
        let mut buffer = [0; 4096];
        for datagram in &datagrams {
            let len = peer.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..len], datagram);
        }
        let stats = counters.snapshot();
        assert_eq!((stats.datagrams_received, stats.datagrams_sent), (100, 100));
        assert_eq!((stats.bytes_received, stats.bytes_sent), (90_100, 90_100));
    });
}

#[test]
fn lengths_at_the_limit() {
    in_runtime(async {
        let counters = Counters::default();
        let mut socket = UdpSocket::adopt(bind("127.0.0.1", 0).unwrap(), BATCH).unwrap();
        let address = socket.io.local_addr().unwrap();
        let peer = peer("127.0.0.1");
        for len in [0, 2048, 2049, 60_000, 1] {
            peer.send_to(&vec![7; len], address).unwrap();
        }
        let got = receive(&mut socket, &counters, 3).await;
        assert_eq!(got.iter().map(|(_, bytes)| bytes.len()).collect::<Vec<_>>(), [0, 2048, 1]);
        assert_eq!(counters.snapshot().oversize, 2);
    });
}

#[test]
fn one_that_cannot_be_sent_does_not_hold_up_the_others() {
    in_runtime(async {
        let counters = Counters::default();
        let mut socket = UdpSocket::adopt(bind("127.0.0.1", 0).unwrap(), BATCH).unwrap();
        let peer = peer("127.0.0.1");
        let mut outbox = Outbox::default();
        for n in 0..5_u8 {
            fill(&mut outbox, peer.local_addr().unwrap(), [vec![n]].into_iter());
            fill(&mut outbox, "[::1]:9".parse().unwrap(), [vec![n]].into_iter());
            fill(&mut outbox, peer.local_addr().unwrap(), [vec![n; 70_000]].into_iter());
        }
        socket.send(&mut outbox, &counters);
        let mut buffer = [0; 16];
        for n in 0..5 {
            assert_eq!(peer.recv(&mut buffer).unwrap(), 1);
            assert_eq!(buffer[0], n);
        }
        let stats = counters.snapshot();
        assert_eq!((stats.datagrams_sent, stats.send_failed), (5, 10));
    });
}

#[cfg(all(target_os = "linux", not(feature = "portable-io")))]
#[test]
fn only_small_datagrams_are_not_to_be_cut() {
    use rustix::net::sockopt::{Ipv4PathMtuDiscovery, ip_mtu_discover};
    in_runtime(async {
        let counters = Counters::default();
        let mut socket = UdpSocket::adopt(bind("127.0.0.1", 0).unwrap(), BATCH).unwrap();
        let usual = ip_mtu_discover(&socket.io).unwrap();
        let peer = peer("127.0.0.1");
        let mut outbox = Outbox::default();
        let mut buffer = [0; 4096];
        let forbidden = Ipv4PathMtuDiscovery::DO;
        assert_ne!(usual, forbidden);
        for (sizes, expected) in [
            (&[508][..], forbidden),
            (&[2048], usual),
            (&[1, 508, 12], forbidden),
            (&[12, 509, 12], usual),
            (&[12, 12], forbidden),
        ] {
            fill(&mut outbox, peer.local_addr().unwrap(), sizes.iter().map(|&size| vec![7; size]));
            socket.send(&mut outbox, &counters);
            assert_eq!(ip_mtu_discover(&socket.io).unwrap(), expected, "{sizes:?}");
            for &size in sizes {
                assert_eq!(peer.recv(&mut buffer).unwrap(), size);
            }
        }
        // An interface that takes no more than that.
        for (turn, sizes) in [&[12, 508][..], &[508]].into_iter().enumerate() {
            if turn == 0 {
                let port = socket.io.local_addr().unwrap().port();
                let error = rustix::io::Errno::MSGSIZE.raw_os_error();
                crate::net::faults::inject(port, Call::Send, [error].into_iter());
            }
            fill(&mut outbox, peer.local_addr().unwrap(), sizes.iter().map(|&size| vec![7; size]));
            socket.send(&mut outbox, &counters);
            assert_eq!(ip_mtu_discover(&socket.io).unwrap(), usual);
            for &size in sizes {
                assert_eq!(peer.recv(&mut buffer).unwrap(), size);
            }
        }
        assert_eq!(counters.snapshot().send_failed, 0);
    });
}

#[test]
fn a_full_send_buffer_drops_and_counts() {
    in_runtime(async {
        let counters = Counters::default();
        let mut socket = UdpSocket::adopt(bind("127.0.0.1", 0).unwrap(), BATCH).unwrap();
        SockRef::from(&socket.io).set_send_buffer_size(1).unwrap();
        // Loopback delivers within the call, so a queue has to be somebody else's: a peer that never reads holds the
        // bytes only on its side, and nothing is ever full. What must hold anywhere: every datagram is accounted for.
        let peer = peer("127.0.0.1");
        let mut outbox = Outbox::default();
        for _ in 0..100 {
            fill(&mut outbox, peer.local_addr().unwrap(), (0..BATCH).map(|_| vec![1; 2048]));
            socket.send(&mut outbox, &counters);
        }
        let stats = counters.snapshot();
        assert_eq!(stats.datagrams_sent + stats.send_buffer_full + stats.send_failed, 100 * BATCH as u64);
        assert!(!count_sent(&counters, 1, Err(io::ErrorKind::WouldBlock.into())));
        assert_eq!(counters.snapshot().send_buffer_full, stats.send_buffer_full + 1);
    });
}

#[test]
fn a_socket_for_all_addresses_shows_ipv4_peers_as_such() {
    in_runtime(async {
        let counters = Counters::default();
        let Ok(socket) = bind("::", 0) else { return };
        let mut socket = UdpSocket::adopt(socket, BATCH).unwrap();
        let port = socket.io.local_addr().unwrap().port();
        let peers = [peer("127.0.0.1"), peer("::1")];
        for peer in &peers {
            let host = peer.local_addr().unwrap().ip();
            peer.send_to(b"in", (host, port)).unwrap();
            let got = receive(&mut socket, &counters, 1).await;
            assert_eq!(got, [(peer.local_addr().unwrap(), b"in".to_vec())]);
        }
        // Once alone and once in a batch: the two ways out.
        for count in [1, 2] {
            for peer in &peers {
                let mut outbox = Outbox::default();
                fill(&mut outbox, peer.local_addr().unwrap(), (0..count).map(|_| b"out".to_vec()));
                socket.send(&mut outbox, &counters);
                let mut buffer = [0; 16];
                for _ in 0..count {
                    assert_eq!(peer.recv(&mut buffer).unwrap(), 3);
                }
            }
        }
    });
}

#[test]
fn a_dead_port_is_counted_and_nothing_else() {
    in_runtime(async {
        let counters = Counters::default();
        let dead = peer("127.0.0.1").local_addr().unwrap();
        let mut socket = UdpSocket::adopt(connect(dead).unwrap(), BATCH).unwrap();
        let mut outbox = Outbox::default();
        for _ in 0..5 {
            fill(&mut outbox, dead, [b"anybody?".to_vec()].into_iter());
            socket.send_connected(&mut outbox, &counters);
        }
        while socket.receive(&counters, |_, _| panic!("nobody is there")) == Received::Some {}
        assert!(counters.snapshot().refused >= 4, "{:?}", counters.snapshot());
        // Somebody comes: the same socket works.
        let peer = Plain::bind(dead).unwrap();
        fill(&mut outbox, dead, [b"hello".to_vec()].into_iter());
        socket.send_connected(&mut outbox, &counters);
        let mut buffer = [0; 16];
        let (len, from) = peer.recv_from(&mut buffer).unwrap();
        peer.send_to(&buffer[..len], from).unwrap();
        let got = receive(&mut socket, &counters, 1).await;
        assert_eq!(got, [(dead, b"hello".to_vec())]);
    });
}

#[test]
fn errors_that_answer_something_sent_earlier_mean_nothing() {
    // Linux says "refused", Windows "reset", when an ICMP message tells that a port is closed.
    for kind in [io::ErrorKind::ConnectionRefused, io::ErrorKind::ConnectionReset] {
        assert!(is_refusal(&kind.into()));
        let counters = Counters::default();
        assert!(count_sent(&counters, 1, Err(kind.into())), "nothing is full");
        let stats = counters.snapshot();
        assert_eq!((stats.refused, stats.send_failed, stats.send_buffer_full), (1, 0, 0));
    }
    for kind in [io::ErrorKind::WouldBlock, io::ErrorKind::ConnectionAborted, io::ErrorKind::NotConnected] {
        assert!(!is_refusal(&kind.into()));
    }
}

#[test]
fn what_belongs_to_this_machine_can_be_bound_and_reached() {
    for host in ["127.0.0.1", "0.0.0.0", "localhost", "", "::1", "::", "[::1]"] {
        let is_wide = host.contains(':');
        match bind(host, 0) {
            Ok(socket) => assert_eq!(socket.local_addr().unwrap().is_ipv6(), is_wide, "{host}"),
            // Not every machine has IPv6.
            Err(e) => assert!(is_wide || host.is_empty(), "{host}: {e}"),
        }
    }
    assert!(matches!(bind("no.such.host.invalid", 0), Err(NetError::Resolve { .. })));
    assert!(matches!(bind("192.0.2.200", 0), Err(NetError::NotLocal { .. })), "an address of no machine");
    assert_eq!(reachable("0.0.0.0:7".parse().unwrap()), "127.0.0.1:7".parse().unwrap());
    assert_eq!(reachable("[::]:7".parse().unwrap()), "[::1]:7".parse().unwrap());
    assert_eq!(reachable("192.0.2.1:7".parse().unwrap()), "192.0.2.1:7".parse().unwrap());
}

#[test]
fn a_port_belongs_to_one_and_is_free_at_once() {
    let first = bind("127.0.0.1", 0).unwrap();
    let port = first.local_addr().unwrap().port();
    for host in ["127.0.0.1", "localhost", "0.0.0.0"] {
        assert!(matches!(bind(host, port), Err(NetError::AddressInUse { .. })), "{host}");
    }
    drop(first);
    bind("127.0.0.1", port).unwrap();
}

#[test]
fn addresses_of_peers_are_the_same_both_ways() {
    for (inside, outside) in [
        ("[::ffff:192.0.2.1]:7", "192.0.2.1:7"),
        ("[2001:db8::1]:7", "[2001:db8::1]:7"),
        ("[fe80::1%3]:7", "[fe80::1%3]:7"),
    ] {
        let (inside, outside): (SocketAddr, SocketAddr) = (inside.parse().unwrap(), outside.parse().unwrap());
        assert_eq!(narrowed(inside), outside);
        assert_eq!(widened(outside), inside);
    }
}
