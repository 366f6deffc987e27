//! What lies between the players and the server: a bad line, and those who throw what is malformed.
#![allow(clippy::disallowed_methods, reason = "a relay and a stranger have sockets of their own")]

use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use pygase::net::clock;
use pygase::netsim::{Conditions, Fates, Network};
use pygase::wire::{Kind, Sqn};
use pygase_fuzz::generate;
use pygase_fuzz::input::Input;

const LINE: Conditions = Conditions {
    latency: Duration::from_millis(20),
    jitter: Duration::from_millis(20),
    loss: 0.1,
    burst: Duration::ZERO,
    duplicate: 0.05,
    reorder: 0.05,
    corrupt: 0.0,
    rate: 0,
};
/// Malformed datagrams a second, from strangers.
const GARBAGE: u32 = 500;
/// What is no package, in the name of the server and of each client, once in so many turns of the relay.
const JUNK: &[&[u8]] = &[b"", b"hello", b"shut_me_down", b"\xff\xd0\xfa\xb9", &[0xff; 2048], &[0; 40_000]];
const JUNK_INTERVAL: u64 = 4;

/// Throws what is malformed at these addresses.
pub(super) fn throw_garbage(at: [SocketAddr; 2], is_over: Arc<AtomicBool>) -> Arc<AtomicU64> {
    let thrown = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&thrown);
    thread::spawn(move || {
        let mut random = fastrand::Rng::with_seed(1);
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let mut choices = [0; 512];
        while !is_over.load(Ordering::Relaxed) {
            random.fill(&mut choices);
            let mut input = Input::new(&choices);
            let kind = if random.bool() { Kind::Client } else { Kind::Server };
            let mut bytes = generate::package(&mut input, kind, (Sqn::ZERO, Sqn::ZERO));
            generate::damage(&mut input, &mut bytes);
            bytes.truncate(60_000);
            let _ = socket.send_to(&bytes, at[usize::from(random.u8(..8) == 0)]);
            count.fetch_add(1, Ordering::Relaxed);
            thread::sleep(Duration::from_secs(1) / GARBAGE);
        }
    });
    thrown
}

/// What is between the players and the server.
pub(super) struct Relay {
    pub(super) front: SocketAddr,
    pub(super) thread: thread::JoinHandle<(Fates, u64)>,
}

impl Relay {
    pub(super) fn start(server: SocketAddr, is_over: Arc<AtomicBool>) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        socket.set_nonblocking(true).expect("a socket that does not wait");
        let front = socket.local_addr().expect("an address");
        let thread = thread::spawn(move || relay(&socket, front, server, &is_over));
        Self { front, thread }
    }
}

/// Relays until it is over; gives what became of datagrams, and how many malformed ones it added each way.
fn relay(front: &UdpSocket, at: SocketAddr, server: SocketAddr, is_over: &AtomicBool) -> (Fates, u64) {
    let mut network = Network::new(1, LINE);
    let mut backs: HashMap<SocketAddr, UdpSocket> = HashMap::new();
    let mut buffer = vec![0; 65_536];
    let (mut turn, mut junk) = (0_u64, 0);
    while !is_over.load(Ordering::Relaxed) {
        let now = clock::now();
        loop {
            match front.recv_from(&mut buffer) {
                Ok((length, from)) => network.send(now, from, at, &buffer[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => {}
            }
        }
        for (client, back) in &backs {
            while let Ok(length) = back.recv(&mut buffer) {
                network.send(now, at, *client, &buffer[..length]);
            }
        }
        while let Some(datagram) = network.receive(now) {
            if datagram.to != at {
                let _ = front.send_to(&datagram.bytes, datagram.to);
                continue;
            }
            let back = backs.entry(datagram.from).or_insert_with(|| {
                let back = UdpSocket::bind("127.0.0.1:0").expect("a socket");
                back.connect(server).expect("a server");
                back.set_nonblocking(true).expect("a socket that does not wait");
                back
            });
            let _ = back.send(&datagram.bytes);
        }
        turn += 1;
        if turn.is_multiple_of(JUNK_INTERVAL)
            && let Some((client, back)) =
                backs.iter().nth((turn / JUNK_INTERVAL) as usize % backs.len().max(1))
        {
            let bytes = JUNK[junk as usize % JUNK.len()];
            if back.send(bytes).is_ok() && front.send_to(bytes, *client).is_ok() {
                junk += 1;
            }
        }
        thread::sleep(Duration::from_millis(1));
    }
    (network.fates(), junk)
}
