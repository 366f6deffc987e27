//! Every platform: one datagram a call.

use std::io;
use std::net::SocketAddr;

use socket2::{SockAddr, SockRef};
use tokio::net::UdpSocket;

use super::{BUFFER, Call, Counters, Outbox, count_sent, injected, widened};

/// As many as are taken from the machines before they are sent; receiving brings one a call.
pub(super) const BATCH: usize = 32;
/// Whether sockets that share a port are each given all that comes from a sender.
pub(super) const SHARES_PORTS: bool = false;

/// Never asked for.
pub(super) fn share_port(_: &socket2::Socket) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// The buffer of a datagram.
#[derive(Debug)]
pub(super) struct Receiver {
    bytes: Box<[u8]>,
}

impl Receiver {
    pub(super) fn new(_: usize) -> Self {
        Self { bytes: vec![0; BUFFER].into_boxed_slice() }
    }

    /// Receives once. `WouldBlock` when nothing is there.
    pub(super) fn receive(
        &mut self,
        socket: &UdpSocket,
        mut handle: impl FnMut(SocketAddr, &[u8]),
    ) -> io::Result<()> {
        let (len, from) = socket.try_recv_from(&mut self.bytes)?;
        handle(from, self.bytes.get(..len).unwrap_or_default());
        Ok(())
    }
}

/// Windows fails where others cut what is too long (WSAEMSGSIZE).
pub(super) fn is_too_long(error: &io::Error) -> bool {
    cfg!(windows) && error.raw_os_error() == Some(10040)
}

/// Nothing is kept from one call to the next.
#[derive(Debug, Default)]
pub(super) struct Sender {}

pub(super) fn send(_: &mut Sender, socket: &UdpSocket, is_wide: bool, outbox: &Outbox, counters: &Counters) {
    // Straight to the system: the readiness tokio keeps is for those who wait until they may send.
    let system = SockRef::from(socket);
    let mut is_full = false;
    for (to, datagram) in outbox.iter() {
        if is_full {
            count_sent(counters, datagram.len(), Err(io::ErrorKind::WouldBlock.into()));
            continue;
        }
        let to = SockAddr::from(if is_wide { widened(to) } else { to });
        let fault = injected(socket, Call::Send);
        let result = fault.map_or_else(|| system.send_to(datagram, &to), Err);
        is_full = !count_sent(counters, datagram.len(), result.map(|_| ()));
    }
}
