//! The least that a server of this protocol can do: receive, note, answer on the grid, send. No game, no proof of
//! address, no events, no timeouts; every client is sent the same bytes. What it costs is what the system costs.
//!
//! `cargo run --release --no-default-features --example limit_server -- PORT` prints `listening` and ends after ten
//! minutes. Linux only.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a yardstick, with a socket and a clock of its own"
)]

#[cfg(not(all(target_os = "linux", not(feature = "portable-io"))))]
fn main() {
    eprintln!("the limit server needs recvmmsg and sendmmsg: Linux, without the feature portable-io");
    std::process::exit(2);
}

#[cfg(all(target_os = "linux", not(feature = "portable-io")))]
fn main() {
    linux::main();
}

#[cfg(all(target_os = "linux", not(feature = "portable-io")))]
mod linux {
    use std::collections::HashMap;
    use std::io::{IoSlice, IoSliceMut};
    use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
    use std::slice;
    use std::time::{Duration, Instant};

    use pygase::wire::{Body, Header, Kind, Package, PackageWriter, Sqn, msgpack};
    use quinn_udp::{RecvMeta, UdpSockRef, UdpSocketState};
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, SocketAddrAny, sendmmsg};

    const BATCH: usize = 32;
    const BUFFER: usize = 2048;
    /// Milliseconds between two packages to a client.
    const INTERVAL: u64 = 25;
    /// Milliseconds until it ends by itself.
    const LIFE: u64 = 600_000;

    struct Client {
        address: SocketAddrAny,
        sequence: Sqn,
        heard: Sqn,
        bits: u32,
    }

    struct Server {
        socket: UdpSocket,
        clients: Vec<Client>,
        by_address: HashMap<SocketAddr, usize>,
        /// Who is sent to in which millisecond of the interval.
        wheel: Vec<Vec<usize>>,
    }

    pub(super) fn main() {
        let port: u16 = std::env::args().nth(1).unwrap().parse().unwrap();
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        let size = socket2::SockRef::from(&socket);
        size.set_recv_buffer_size(4 << 20).unwrap();
        // A socket of its own, as in the server: it sets options that do not suit.
        let state = UdpSocketState::new(UdpSockRef::from(&UdpSocket::bind("127.0.0.1:0").unwrap())).unwrap();
        socket.set_nonblocking(true).unwrap();
        println!("listening");
        let mut server = Server {
            socket,
            clients: Vec::new(),
            by_address: HashMap::new(),
            wheel: vec![Vec::new(); INTERVAL as usize],
        };
        let mut bytes = vec![0; BATCH * BUFFER];
        let begin = Instant::now();
        let mut turn = 0;
        while turn < LIFE {
            server.receive(&state, &mut bytes);
            while turn <= begin.elapsed().as_millis() as u64 {
                server.send(turn);
                turn += 1;
            }
            let left = Duration::from_millis(turn).saturating_sub(begin.elapsed());
            let left = Timespec { tv_sec: 0, tv_nsec: i64::from(left.subsec_nanos()) };
            // Woken or not: the loop looks.
            let _ = poll(&mut [PollFd::new(&server.socket, PollFlags::IN)], Some(&left));
        }
    }

    impl Server {
        fn receive(&mut self, state: &UdpSocketState, bytes: &mut [u8]) {
            let mut meta = [RecvMeta::default(); BATCH];
            loop {
                let mut chunks = bytes.chunks_exact_mut(BUFFER);
                let mut buffers: [IoSliceMut<'_>; BATCH] =
                    std::array::from_fn(|_| IoSliceMut::new(chunks.next().unwrap()));
                let count = state.recv(UdpSockRef::from(&self.socket), &mut buffers, &mut meta).unwrap_or(0);
                for (buffer, meta) in buffers.iter().zip(&meta).take(count) {
                    if let Ok(package) = Package::decode(Kind::Client, buffer.get(..meta.len).unwrap()) {
                        self.note(meta.addr, package.header.sequence);
                    }
                }
                if count < BATCH {
                    return;
                }
            }
        }

        fn note(&mut self, from: SocketAddr, sequence: Sqn) {
            let key = *self.by_address.entry(from).or_insert_with(|| {
                let key = self.clients.len();
                self.clients.push(Client {
                    address: from.into(),
                    sequence: Sqn::ZERO,
                    heard: Sqn::ZERO,
                    bits: 0,
                });
                let slot = self.wheel.iter_mut().min_by_key(|slot| slot.len()).unwrap();
                slot.push(key);
                key
            });
            let Some(client) = self.clients.get_mut(key) else { return };
            let steps = sequence.since(client.heard);
            if steps > 0 {
                client.bits = (client.bits >> 1 | 1 << 31).checked_shr(steps as u32 - 1).unwrap_or(0);
                client.heard = sequence;
            }
        }

        fn send(&mut self, turn: u64) {
            let update = update(turn);
            let slot = self.wheel.get((turn % INTERVAL) as usize).unwrap();
            for keys in slot.chunks(BATCH) {
                let packages: Vec<_> = keys
                    .iter()
                    .map(|&key| {
                        let client = self.clients.get_mut(key).unwrap();
                        client.sequence = client.sequence.next();
                        let header = Header {
                            sequence: client.sequence,
                            ack: client.heard,
                            ack_bitfield: client.bits,
                        };
                        let mut out = Vec::with_capacity(256);
                        PackageWriter::new(&mut out, header, Body::Server { update: &update }).unwrap();
                        (client.address.clone(), out)
                    })
                    .collect();
                let slices: Vec<_> = packages.iter().map(|(_, bytes)| IoSlice::new(bytes)).collect();
                let mut controls: [SendAncillaryBuffer<'_, '_, '_>; BATCH] =
                    std::array::from_fn(|_| SendAncillaryBuffer::default());
                let mut messages: Vec<_> = packages
                    .iter()
                    .zip(&slices)
                    .zip(&mut controls)
                    .map(|(((to, _), slice), control)| {
                        MMsgHdr::new_with_addr(to, slice::from_ref(slice), control)
                    })
                    .collect();
                // What the system does not take is lost, as on any network.
                let _ = sendmmsg(&self.socket, &mut messages, SendFlags::DONTWAIT);
            }
        }
    }

    /// What a tick of the game that is measured beside this changes: the places of three players.
    fn update(turn: u64) -> Vec<u8> {
        let mut update = Vec::with_capacity(128);
        msgpack::write_map_len(&mut update, 2);
        msgpack::write_str(&mut update, "players");
        msgpack::write_map_len(&mut update, 3);
        for player in 0..3 {
            msgpack::write_uint(&mut update, player);
            msgpack::write_map_len(&mut update, 2);
            for name in ["x", "y"] {
                msgpack::write_str(&mut update, name);
                msgpack::write_uint(&mut update, turn);
            }
        }
        msgpack::write_time_order_fixed(&mut update, Sqn::new((turn / 20 % 65_535) as u16 + 1));
        update
    }
}
