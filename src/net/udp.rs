//! UDP sockets: receiving and sending, in batches where the platform has them.
//!
//! Owns the only sockets of the core, opened in `opening`. Must not know what a package is. Every error after binding is counted, none is
//! an end. Linux receives with `recvmmsg` and sends with `sendmmsg`; other platforms (and the feature `portable-io`)
//! move one datagram a call.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::SockRef;

use super::clock;
use super::line::Line;
use crate::wire::limits::MAX_DATAGRAM;

mod opening;
mod outbox;
#[cfg(all(target_os = "linux", not(feature = "portable-io")))]
#[path = "udp/batched.rs"]
mod platform;
#[cfg(not(all(target_os = "linux", not(feature = "portable-io"))))]
#[path = "udp/single.rs"]
mod platform;
mod stats;
#[cfg(all(target_os = "linux", not(feature = "portable-io")))]
mod whole;

pub(crate) use opening::{bind, bind_group, connect, reachable, resolve};
pub(crate) use outbox::Outbox;
pub(crate) use stats::Counters;
pub use stats::SocketStats;
pub(super) use stats::add;

/// The most datagrams one call moves.
pub(crate) const BATCH: usize = platform::BATCH;

/// One byte more than a datagram may have, so that one that is too long can be told from one that just fits.
const BUFFER: usize = MAX_DATAGRAM + 1;

/// How often in a row receiving may fail because a peer refused, before the socket is left alone for this turn.
const MAX_REFUSED: u32 = 64;

/// A call to the system that may fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Call {
    /// To send.
    Send,
    /// To receive.
    Receive,
}

#[cfg(test)]
use super::faults::injected;

/// The error with which a test wants this call to fail.
#[cfg(not(test))]
#[inline]
fn injected(_: &tokio::net::UdpSocket, _: Call) -> Option<io::Error> {
    None
}

/// What became of one attempt to receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// Something came; there may be more.
    Some,
    /// Nothing is left.
    Nothing,
    /// The system refused, and may go on refusing: ask again later.
    Failed,
}

/// Whether an error says that a peer does not listen. Windows reports it as a connection that was reset.
fn is_refusal(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset)
}

/// A socket in a runtime.
#[derive(Debug)]
pub(crate) struct UdpSocket {
    io: tokio::net::UdpSocket,
    /// An IPv6 socket: IPv4 peers have mapped addresses, which nobody else gets to see.
    is_wide: bool,
    receiver: platform::Receiver,
    sender: platform::Sender,
    /// What datagrams have to come through, both ways.
    line: Option<Box<Line>>,
}

impl UdpSocket {
    /// Takes a socket over into the runtime of this thread. It will receive up to `batch` datagrams a call.
    pub(crate) fn adopt(socket: std::net::UdpSocket, batch: usize) -> io::Result<Self> {
        let io = tokio::net::UdpSocket::from_std(socket)?;
        let is_wide = io.local_addr()?.is_ipv6();
        let (receiver, sender) = (platform::Receiver::new(batch), platform::Sender::default());
        Ok(Self { io, is_wide, receiver, sender, line: None })
    }

    /// The same socket at the end of a line.
    pub(crate) fn behind(self, line: Option<Line>) -> Self {
        Self { line: line.map(Box::new), ..self }
    }

    /// Goes on with another socket. What is on its way on the line is lost.
    pub(crate) fn replace(&mut self, socket: std::net::UdpSocket) -> io::Result<()> {
        self.io = tokio::net::UdpSocket::from_std(socket)?;
        self.is_wide = self.io.local_addr()?.is_ipv6();
        self.sender = platform::Sender::default();
        if let Some(line) = &mut self.line {
            line.clear();
        }
        Ok(())
    }

    /// When the line has something to receive or to send, whatever the network does.
    pub(crate) fn next_arrival(&self) -> Option<Duration> {
        self.line.as_ref().and_then(|line| line.next_arrival())
    }

    /// Ready when there may be something to receive.
    pub(crate) fn poll_readable(&self, context: &mut Context<'_>) -> Poll<()> {
        self.io.poll_recv_ready(context).map(|_| ())
    }

    /// Receives what one call brings and hands over each datagram with its sender.
    pub(crate) fn receive(
        &mut self,
        counters: &Counters,
        mut handle: impl FnMut(SocketAddr, &[u8]),
    ) -> Received {
        let Self { io, is_wide, receiver, line, .. } = self;
        if let Some(line) = line {
            let now = clock::now();
            while let Some((from, datagram)) = line.receive(now) {
                handle(from, &datagram);
            }
        }
        for _ in 0..MAX_REFUSED {
            let (mut datagrams, mut bytes) = (0, 0);
            let fault = injected(io, Call::Receive);
            let result = fault.map_or_else(
                || {
                    receiver.receive(io, |from, datagram| {
                        if datagram.len() > MAX_DATAGRAM {
                            add(&counters.oversize, 1);
                            return;
                        }
                        datagrams += 1;
                        bytes += datagram.len() as u64;
                        let from = if *is_wide { narrowed(from) } else { from };
                        match line {
                            Some(line) => line.take(clock::now(), from, datagram, counters),
                            None => handle(from, datagram),
                        }
                    })
                },
                Err,
            );
            if datagrams > 0 {
                add(&counters.datagrams_received, datagrams);
                add(&counters.bytes_received, bytes);
            }
            match result {
                Ok(()) => return Received::Some,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Received::Nothing,
                // An answer to something sent earlier; it took the place of nothing that arrived.
                Err(e) if is_refusal(&e) => add(&counters.refused, 1),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if platform::is_too_long(&e) => add(&counters.oversize, 1),
                Err(_) => {
                    add(&counters.receive_failed, 1);
                    return Received::Failed;
                }
            }
        }
        Received::Failed
    }

    /// Sends all of `outbox` and empties it. What does not go at once is dropped and counted.
    pub(crate) fn send(&mut self, outbox: &mut Outbox, counters: &Counters) {
        if let Some(line) = &mut self.line {
            line.send(clock::now(), outbox, counters);
        }
        platform::send(&mut self.sender, &self.io, self.is_wide, outbox, counters);
        outbox.clear();
    }

    /// Sends all of `outbox` to the one peer of a connected socket and empties it.
    pub(crate) fn send_connected(&mut self, outbox: &mut Outbox, counters: &Counters) {
        if let Some(line) = &mut self.line {
            line.send(clock::now(), outbox, counters);
        }
        // Straight to the system: the readiness tokio keeps is for those who wait until they may send.
        let socket = SockRef::from(&self.io);
        for (_, datagram) in outbox.iter() {
            let send = || injected(&self.io, Call::Send).map_or_else(|| socket.send(datagram), Err);
            let mut result = send();
            if result.as_ref().is_err_and(is_refusal) {
                // The answer to an earlier datagram, reported in place of sending this one.
                add(&counters.refused, 1);
                result = send();
            }
            count_sent(counters, datagram.len(), result.map(|_| ()));
        }
        outbox.clear();
    }
}

/// Counts what became of a datagram that was to be sent; false if the send buffer is full.
fn count_sent(counters: &Counters, len: usize, result: io::Result<()>) -> bool {
    match result {
        Ok(()) => {
            add(&counters.datagrams_sent, 1);
            add(&counters.bytes_sent, len as u64);
        }
        // Some systems say that they are out of buffers instead of asking to wait.
        Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::OutOfMemory) => {
            add(&counters.send_buffer_full, 1);
            return false;
        }
        Err(e) if is_refusal(&e) => add(&counters.refused, 1),
        Err(_) => add(&counters.send_failed, 1),
    }
    true
}

/// The address of a peer of an IPv6 socket as everybody else knows it.
fn narrowed(from: SocketAddr) -> SocketAddr {
    match from.ip().to_canonical() {
        IpAddr::V4(v4) => SocketAddr::new(v4.into(), from.port()),
        // With the interface of a link-local address.
        IpAddr::V6(_) => from,
    }
}

/// The address an IPv6 socket wants for a peer.
fn widened(to: SocketAddr) -> SocketAddr {
    match to {
        SocketAddr::V4(v4) => SocketAddr::new(v4.ip().to_ipv6_mapped().into(), v4.port()),
        SocketAddr::V6(_) => to,
    }
}

#[cfg(test)]
#[path = "udp/tests.rs"]
mod tests;
