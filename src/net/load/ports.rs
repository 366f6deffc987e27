//! Where the clients send from: a socket for each, or one for many that all have an address of their own.
//!
//! To Linux every address of 127.0.0.0/8 is this machine's. For a server on it a few sockets do for thousands of
//! clients: each package names its sender's address, and what comes back is told apart by the address it was sent to.
//! A batch of packages is then received with one call, where a socket for each client costs the generator two calls a
//! package and the server the waking of one more listener.

use std::{
    array,
    io::{self, ErrorKind, IoSliceMut},
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use quinn_udp::{RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use socket2::SockRef;
use tokio::{io::Interest, net::UdpSocket};

use crate::{net::udp, wire::limits::MAX_DATAGRAM};

/// Whether a socket can have many clients, where the server is at a loopback address.
const SHARES: bool = cfg!(all(target_os = "linux", not(feature = "portable-io")));
/// Clients of a socket that is shared: so few that its receive buffer takes what comes while the generator does
/// something else.
const CLIENTS_PER_PORT: usize = 1000;
/// The address before the first client's.
const BASE: u32 = u32::from_be_bytes([127, 64, 0, 0]);
/// Datagrams received with one call.
const BATCH: usize = 32;

/// What all ports receive into.
pub(super) struct Buffers(Box<[u8]>);

impl Default for Buffers {
    fn default() -> Self {
        Self(vec![0; BATCH * MAX_DATAGRAM].into())
    }
}

/// A socket that is to be a port, with what the system said of it if it is shared.
type Opened = (std::net::UdpSocket, Option<UdpSocketState>);

/// The sockets of all clients, opened before any of them starts.
pub(super) struct Opening {
    remote: SocketAddr,
    clients_each: usize,
    sockets: Vec<Opened>,
}

impl Opening {
    /// Opens as many as so many clients of a server need.
    pub(super) fn new(remote: SocketAddr, clients: usize) -> io::Result<Self> {
        let shares = SHARES && remote.is_ipv4() && remote.ip().is_loopback();
        let clients_each = if shares { CLIENTS_PER_PORT } else { 1 };
        let open = |_| if shares { shared() } else { Ok((udp::connect(remote)?, None)) };
        let sockets = (0..clients.div_ceil(clients_each)).map(open).collect::<io::Result<_>>()?;
        Ok(Self { remote, clients_each, sockets })
    }

    /// Takes them into the runtime of this thread.
    pub(super) fn ports(self) -> io::Result<Vec<Port>> {
        let Self { remote, clients_each, sockets } = self;
        let port = |(index, (socket, shared))| {
            Ok(Port {
                socket: UdpSocket::from_std(socket)?,
                remote,
                first: index * clients_each,
                clients: clients_each,
                shared,
            })
        };
        sockets.into_iter().enumerate().map(port).collect()
    }
}

/// A socket for many clients of a server on this machine.
fn shared() -> io::Result<Opened> {
    let socket = udp::bind("0.0.0.0", 0).map_err(io::Error::other)?;
    let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
    Ok((socket, Some(state)))
}

/// A socket, of one client or of several.
pub(super) struct Port {
    socket: UdpSocket,
    remote: SocketAddr,
    /// The first of its clients.
    first: usize,
    /// How many it may have.
    clients: usize,
    /// Present where there may be several.
    shared: Option<UdpSocketState>,
}

impl Port {
    /// How many clients each port may have, one after the other.
    pub(super) fn clients(&self) -> usize {
        self.clients
    }

    /// Sends for a client, if the system takes it at once.
    pub(super) fn send(&self, index: usize, datagram: &[u8]) -> io::Result<()> {
        // Straight to the system: the readiness tokio keeps is for those who wait until they may send.
        let Some(state) = &self.shared else { return SockRef::from(&self.socket).send(datagram).map(drop) };
        let address = Ipv4Addr::from_bits(BASE + 1 + (index - self.first) as u32);
        let transmit = Transmit {
            destination: self.remote,
            ecn: None,
            contents: datagram,
            segment_size: None,
            src_ip: Some(address.into()),
        };
        state.try_send(UdpSockRef::from(&self.socket), &transmit)
    }

    /// Waits until something may have come.
    pub(super) async fn readable(&self) -> io::Result<()> {
        self.socket.readable().await
    }

    /// Receives what has come, and hands over each datagram with its client, or with none if it is a stranger's.
    pub(super) fn receive(&self, buffers: &mut Buffers, mut handle: impl FnMut(Option<usize>, &[u8])) {
        let Some(state) = &self.shared else {
            while let Ok(size) = self.socket.try_recv(&mut buffers.0) {
                handle(Some(self.first), buffers.0.get(..size).unwrap_or_default());
            }
            return;
        };
        loop {
            let mut meta = [RecvMeta::default(); BATCH];
            let mut chunks = buffers.0.chunks_exact_mut(MAX_DATAGRAM);
            let mut slices: [IoSliceMut<'_>; BATCH] =
                array::from_fn(|_| IoSliceMut::new(chunks.next().unwrap_or_default()));
            let mut count = 0;
            let received = self.socket.try_io(Interest::READABLE, || {
                count = state.recv(UdpSockRef::from(&self.socket), &mut slices, &mut meta)?;
                // Fewer than asked for is all there was: the runtime is to wait for more.
                if count < BATCH { Err(ErrorKind::WouldBlock.into()) } else { Ok(()) }
            });
            for (slice, meta) in slices.iter().zip(&meta).take(count) {
                handle(self.addressee(meta), slice.get(..meta.len).unwrap_or_default());
            }
            if received.is_err() {
                return;
            }
        }
    }

    /// The client that the server sent a datagram to.
    fn addressee(&self, meta: &RecvMeta) -> Option<usize> {
        let Some(IpAddr::V4(address)) = meta.dst_ip else { return None };
        let place = address.to_bits().checked_sub(BASE + 1)? as usize;
        (meta.addr == self.remote && place < self.clients).then_some(self.first + place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::{runtime::Builder, time::timeout};

    /// What each client hears when a server answers each of them with what it said, and a stranger talks to all;
    /// how much of the stranger is heard, and whether clients share a port, where that can be.
    fn heard(clients: usize) -> (Vec<Vec<u8>>, usize, bool) {
        let server = udp::bind("127.0.0.1", 0).unwrap();
        server.set_nonblocking(false).unwrap();
        let stranger = udp::bind("127.0.0.1", 0).unwrap();
        let opening = Opening::new(server.local_addr().unwrap(), clients).unwrap();
        let (mut heard, mut strange, mut share) = (vec![Vec::new(); clients], 0, false);
        Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            let ports = opening.ports().unwrap();
            share = ports[0].shared.is_some();
            let mut buffer = [0; 8];
            for index in 0..clients {
                let port = &ports[index / ports[0].clients()];
                port.send(index, &[index as u8]).unwrap();
                let (size, from) = server.recv_from(&mut buffer).unwrap();
                // Where a socket listens to the server alone, the stranger may hear of it.
                let _ = stranger.send_to(b"?", from);
                server.send_to(&buffer[..size], from).unwrap();
            }
            let mut buffers = Buffers::default();
            let listening = async {
                while heard.iter().any(Vec::is_empty) {
                    for port in &ports {
                        port.receive(&mut buffers, |index, datagram| match index {
                            Some(index) => heard[index].extend(datagram),
                            None => strange += 1,
                        });
                    }
                    tokio::task::yield_now().await;
                }
            };
            timeout(Duration::from_secs(10), listening).await.unwrap();
        });
        (heard, strange, share)
    }

    #[test]
    fn each_client_hears_the_server_say_what_it_said_to_it() {
        for clients in [1, 3, 70] {
            let said: Vec<_> = (0..clients).map(|index| vec![index as u8]).collect();
            let (heard, strange, share) = heard(clients);
            assert_eq!(heard, said);
            assert_eq!(strange, if share { clients } else { 0 });
        }
    }
}
