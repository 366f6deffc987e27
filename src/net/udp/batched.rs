//! Linux: many datagrams a call, through quinn-udp (`recvmmsg`) and rustix (`sendmmsg`).

use std::array;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::slice;
use std::sync::OnceLock;

use quinn_udp::{RecvMeta, UdpSockRef, UdpSocketState};
use rustix::io::Errno;
use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, SocketAddrAny, sendmmsg, sendto};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use super::whole::Cutting;
use super::{BUFFER, Call, Counters, Outbox, count_sent, injected, widened};

/// As many as quinn-udp receives at once.
pub(super) const BATCH: usize = 32;
/// Whether sockets that share a port are each given all that comes from a sender.
pub(super) const SHARES_PORTS: bool = true;

/// Lets other sockets of this user be bound to the same address.
pub(super) fn share_port(socket: &socket2::Socket) -> io::Result<()> {
    Ok(rustix::net::sockopt::set_socket_reuseport(socket, true)?)
}

/// What quinn-udp found out about this system, from a socket of its own.
///
/// Not from ours: making it sets options of the socket that do not suit packages. Fragmentation would be forbidden,
/// and a package of 2048 bytes could not be sent over most paths; and datagrams would come coalesced, so that each of
/// the buffers must take 64 KiB.
fn state() -> io::Result<&'static UdpSocketState> {
    static STATE: OnceLock<UdpSocketState> = OnceLock::new();
    if let Some(state) = STATE.get() {
        return Ok(state);
    }
    let scratch = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None)
        .or_else(|_| socket2::Socket::new(socket2::Domain::IPV6, socket2::Type::DGRAM, None))?;
    let state = UdpSocketState::new(UdpSockRef::from(&scratch))?;
    Ok(STATE.get_or_init(|| state))
}

/// The buffers of a batch.
#[derive(Debug)]
pub(super) struct Receiver {
    bytes: Box<[u8]>,
}

impl Receiver {
    pub(super) fn new(batch: usize) -> Self {
        Self { bytes: vec![0; batch.clamp(1, BATCH) * BUFFER].into_boxed_slice() }
    }

    /// Receives once. `WouldBlock` when nothing is left, which may be after something came.
    pub(super) fn receive(
        &mut self,
        socket: &UdpSocket,
        mut handle: impl FnMut(SocketAddr, &[u8]),
    ) -> io::Result<()> {
        let state = state()?;
        let mut meta = [RecvMeta::default(); BATCH];
        let batch = self.bytes.len() / BUFFER;
        let mut chunks = self.bytes.chunks_exact_mut(BUFFER);
        let mut buffers: [IoSliceMut<'_>; BATCH] =
            array::from_fn(|_| IoSliceMut::new(chunks.next().unwrap_or_default()));
        let used = buffers.get_mut(..batch).unwrap_or_default();
        let mut count = 0;
        let result = socket.try_io(Interest::READABLE, || {
            count = state.recv(UdpSockRef::from(socket), used, &mut meta)?;
            // Fewer than asked for is all there was: said in the way that makes the runtime wait for more, it saves the
            // call that would bring nothing. What comes from here on raises the readiness again.
            if count < batch { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
        });
        for (buffer, meta) in used.iter().zip(&meta).take(count) {
            // Coalesced datagrams cannot come while the socket has no such option, but cost nothing to understand.
            let received = buffer.get(..meta.len).unwrap_or_default();
            if received.is_empty() {
                handle(meta.addr, received);
            }
            for datagram in received.chunks(meta.stride.max(1)) {
                handle(meta.addr, datagram);
            }
        }
        result
    }
}

/// Linux cuts what is too long instead of failing.
pub(super) fn is_too_long(_: &io::Error) -> bool {
    false
}

/// What is kept from one call to the next.
pub(super) type Sender = Cutting;

pub(super) fn send(
    cutting: &mut Sender,
    socket: &UdpSocket,
    is_wide: bool,
    outbox: &Outbox,
    counters: &Counters,
) {
    // Over IPv6 nothing is numbered that is not cut.
    if !is_wide {
        cutting.suit(socket, outbox.iter().map(|(_, datagram)| datagram.len()));
    }
    if outbox.len() == 1 {
        return send_single(cutting, socket, is_wide, outbox, counters);
    }
    let mut datagrams = outbox.iter();
    loop {
        let mut lens = [0; BATCH];
        let mut count = 0;
        let mut addresses: [SocketAddrAny; BATCH] = array::from_fn(|_| SocketAddr::from(([0; 4], 0)).into());
        let mut slices = [IoSlice::new(&[]); BATCH];
        let places = addresses.iter_mut().zip(&mut slices).zip(&mut lens);
        // In this order: the last place taken must not use up a datagram.
        for (((address, slice), len), (to, datagram)) in places.zip(datagrams.by_ref()) {
            *address = if is_wide { widened(to) } else { to }.into();
            *slice = IoSlice::new(datagram);
            *len = datagram.len();
            count += 1;
        }
        if count == 0 {
            return;
        }
        send_batch(cutting, socket, &addresses, &slices, lens.get(..count).unwrap_or_default(), counters);
    }
}

/// Sends the only datagram of `outbox` without the headers of a batch.
fn send_single(
    cutting: &mut Cutting,
    socket: &UdpSocket,
    is_wide: bool,
    outbox: &Outbox,
    counters: &Counters,
) {
    for (to, datagram) in outbox.iter() {
        let to = if is_wide { widened(to) } else { to };
        let fault = injected(socket, Call::Send);
        let send = || sendto(socket, datagram, SendFlags::DONTWAIT, &to);
        let mut result = fault.and_then(|error| Errno::from_io_error(&error)).map_or_else(send, Err);
        if result == Err(Errno::MSGSIZE) && cutting.give_up(socket) {
            result = send();
        }
        count_sent(counters, datagram.len(), result.map(|_| ()).map_err(io::Error::from));
    }
}

/// Sends the first `lens.len()` of `slices`, as many a call as the system takes.
fn send_batch(
    cutting: &mut Cutting,
    socket: &UdpSocket,
    addresses: &[SocketAddrAny; BATCH],
    slices: &[IoSlice<'_>; BATCH],
    lens: &[usize],
    counters: &Counters,
) {
    let mut controls: [SendAncillaryBuffer<'_, '_, '_>; BATCH] =
        array::from_fn(|_| SendAncillaryBuffer::default());
    let mut parts = addresses.iter().zip(slices).zip(&mut controls);
    let mut messages: [MMsgHdr<'_>; BATCH] = array::from_fn(|_| {
        let ((address, slice), control) = parts.next().expect("there are as many parts as messages");
        MMsgHdr::new_with_addr(address, slice::from_ref(slice), control)
    });
    let mut next = 0;
    while let Some(lens) = lens.get(next..).filter(|lens| !lens.is_empty()) {
        let Some(messages) = messages.get_mut(next..next + lens.len()) else { return };
        // Straight to the system: the readiness tokio keeps is for those who wait until they may send.
        let fault = injected(socket, Call::Send).and_then(|error| Errno::from_io_error(&error));
        match fault.map_or_else(|| sendmmsg(socket, messages, SendFlags::DONTWAIT), Err) {
            Ok(sent) => {
                for &len in lens.iter().take(sent) {
                    count_sent(counters, len, Ok(()));
                }
                next += sent.max(1);
            }
            Err(Errno::INTR) => {}
            Err(Errno::MSGSIZE) if cutting.give_up(socket) => {}
            Err(Errno::AGAIN | Errno::NOBUFS) => {
                for &len in lens {
                    count_sent(counters, len, Err(io::ErrorKind::WouldBlock.into()));
                }
                return;
            }
            // The error of the first message; those after it were not tried.
            Err(e) => {
                count_sent(counters, 0, Err(e.into()));
                next += 1;
            }
        }
    }
}
