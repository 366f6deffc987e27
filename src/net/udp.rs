//! UDP sockets: resolving, binding, connecting, receiving and sending, in batches where the platform has them.
//!
//! Owns the only sockets of the core. Must not know what a package is. Every error after binding is counted, none is
//! an end. Linux receives with `recvmmsg` and sends with `sendmmsg`; other platforms (and the feature `portable-io`)
//! move one datagram a call.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};

use super::clock;
use super::error::NetError;
use super::line::Line;
use crate::counters::counters;
use crate::wire::limits::MAX_DATAGRAM;

#[cfg(all(target_os = "linux", not(feature = "portable-io")))]
#[path = "udp/batched.rs"]
mod platform;
#[cfg(not(all(target_os = "linux", not(feature = "portable-io"))))]
#[path = "udp/single.rs"]
mod platform;

/// The most datagrams one call moves.
pub(crate) const BATCH: usize = platform::BATCH;

/// One byte more than a datagram may have, so that one that is too long can be told from one that just fits.
const BUFFER: usize = MAX_DATAGRAM + 1;

/// The receive buffer asked of the system for a server: some 1000 small datagrams a millisecond of delay.
const SERVER_RECEIVE_BUFFER: usize = 4 << 20;
/// The same for a client, which has one peer.
const CLIENT_RECEIVE_BUFFER: usize = 1 << 20;

/// How often in a row receiving may fail because a peer refused, before the socket is left alone for this turn.
const MAX_REFUSED: u32 = 64;

macro_rules! stats {
    ($($(#[$doc:meta])* $name:ident: $kind:ident,)*) => {
        /// What a socket went through, counted by its thread and read by anyone.
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(super) $name: AtomicU64,)*
        }

        counters! {
            /// What a socket went through: totals since it was made.
            SocketStats { $($(#[$doc])* $name: $kind,)* }
        }

        impl Counters {
            /// The totals now.
            pub(crate) fn snapshot(&self) -> SocketStats {
                SocketStats { $($name: self.$name.load(Ordering::Relaxed),)* }
            }
        }
    };
}

stats! {
    /// Datagrams that arrived, those too long not counted.
    datagrams_received: traffic,
    /// Their bytes.
    bytes_received: traffic,
    /// Datagrams that arrived and were longer than a package may be: dropped.
    oversize: dropped,
    /// Datagrams handed to the system.
    datagrams_sent: traffic,
    /// Their bytes.
    bytes_sent: traffic,
    /// Datagrams dropped because the send buffer was full.
    send_buffer_full: dropped,
    /// Datagrams the system would not send for another reason (no route, no such address, too long for the path).
    send_failed: dropped,
    /// Times the other side said that nothing listens there.
    refused: dropped,
    /// Times a client needed a new port and got none.
    connect_failed: dropped,
    /// Times receiving failed for another reason.
    receive_failed: dropped,
    /// Datagrams that the conditions asked for dropped, either way.
    line_dropped: traffic,
    /// Datagrams that they let arrive twice.
    line_duplicated: traffic,
    /// Panics caught in the loop that drives this socket.
    panics: dropped,
}

/// Adds to a total. One thread writes, so this need not be exact against others.
pub(super) fn add(counter: &AtomicU64, amount: u64) {
    counter.fetch_add(amount, Ordering::Relaxed);
}

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

/// The addresses `host` stands for, IPv4 first.
pub(crate) fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, NetError> {
    let unresolved = |source| NetError::Resolve { host: host.to_owned(), source };
    // The brackets of a URL are not part of the address.
    let name = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    let mut addresses: Vec<SocketAddr> = (name, port).to_socket_addrs().map_err(unresolved)?.collect();
    addresses.sort_by_key(SocketAddr::is_ipv6);
    addresses.dedup();
    if addresses.is_empty() {
        return Err(unresolved(io::Error::new(io::ErrorKind::NotFound, "no address")));
    }
    Ok(addresses)
}

/// A server's socket on the first address of `host` that belongs to this machine.
///
/// No address reuse: UDP knows no lingering connections, so a port is free as soon as its socket is closed, and with
/// reuse a second server on the port would silently take datagrams from the first. An empty `host` stands for all IPv4
/// addresses, as it does for Python's own sockets.
pub(crate) fn bind(host: &str, port: u16) -> Result<std::net::UdpSocket, NetError> {
    let mut error = None;
    for address in resolve(if host.is_empty() { "0.0.0.0" } else { host }, port)? {
        match open(address, SERVER_RECEIVE_BUFFER) {
            Ok(socket) => return Ok(socket.into()),
            // The next address may be one of ours. A port in use on this one is the answer, though: a server that
            // took only the other address would be one that half of the clients do not find.
            Err(e) if is_not_ours(&e) => error = error.or(Some(e)),
            Err(e) => return Err(NetError::from_io("listen on", host, port, e)),
        }
    }
    let error = error.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into());
    Err(NetError::from_io("listen on", host, port, error))
}

/// `count` sockets on one address as [`bind`] finds it: the system gives all datagrams from one sender to the same of
/// them. One socket where it does not do that.
///
/// That the port is free is found out first, by a socket that does not share: with others of the same user, a group
/// would silently divide what comes.
pub(crate) fn bind_group(host: &str, port: u16, count: usize) -> Result<Vec<std::net::UdpSocket>, NetError> {
    let first = bind(host, port)?;
    if count < 2 || !platform::SHARES_PORTS {
        return Ok(vec![first]);
    }
    let failed = |e| NetError::from_io("listen on", host, port, e);
    let address = first.local_addr().map_err(failed)?;
    drop(first);
    let member = |_| {
        let socket = unbound(address, SERVER_RECEIVE_BUFFER)?;
        platform::share_port(&socket)?;
        socket.bind(&SockAddr::from(address))?;
        Ok(socket.into())
    };
    (0..count).map(member).collect::<io::Result<_>>().map_err(failed)
}

/// A client's socket: a port of the system's choice, and only `remote` can send to it.
pub(crate) fn connect(remote: SocketAddr) -> io::Result<std::net::UdpSocket> {
    let any: IpAddr = match remote {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = open(SocketAddr::new(any, 0), CLIENT_RECEIVE_BUFFER)?;
    socket.connect(&SockAddr::from(remote))?;
    Ok(socket.into())
}

/// `address`, with the one that stands for all of them replaced by this machine's: not every system connects to it.
pub(crate) fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

fn open(address: SocketAddr, receive_buffer: usize) -> io::Result<Socket> {
    let socket = unbound(address, receive_buffer)?;
    socket.bind(&SockAddr::from(address))?;
    Ok(socket)
}

fn unbound(address: SocketAddr, receive_buffer: usize) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    if address.is_ipv6() {
        // `::` serves IPv4 too, whatever the system's default. Where it cannot, it serves IPv6.
        let _ = socket.set_only_v6(!address.ip().is_unspecified());
    }
    // Systems cut this to their limit, or refuse and keep what they had; both are fine.
    let _ = socket.set_recv_buffer_size(receive_buffer);
    Ok(socket)
}

/// Whether binding failed because this machine does not have the address (or its family at all).
fn is_not_ours(error: &io::Error) -> bool {
    if error.kind() == io::ErrorKind::AddrNotAvailable {
        return true;
    }
    // EAFNOSUPPORT, which has no stable kind.
    let unsupported = if cfg!(windows) {
        10047
    } else if cfg!(target_os = "linux") {
        97
    } else {
        47
    };
    error.raw_os_error() == Some(unsupported)
}

/// Whether an error says that a peer does not listen. Windows reports it as a connection that was reset.
fn is_refusal(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset)
}

/// Datagrams on their way out, in one buffer that is used again and again.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    bytes: Vec<u8>,
    /// Where to, and where in `bytes` it ends.
    ends: Vec<(SocketAddr, usize)>,
}

impl Outbox {
    /// The buffer to append one datagram to, before [`Outbox::seal`].
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Ends the datagram appended to the buffer.
    pub(crate) fn seal(&mut self, to: SocketAddr) {
        self.ends.push((to, self.bytes.len()));
    }

    /// How many datagrams wait.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Forgets all of them, sealed or not.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// What waits, and where to.
    pub(super) fn iter(&self) -> impl Iterator<Item = (SocketAddr, &[u8])> {
        let mut start = 0;
        self.ends.iter().map(move |&(to, end)| {
            let datagram = self.bytes.get(start..end).unwrap_or_default();
            start = end;
            (to, datagram)
        })
    }
}

/// A socket in a runtime.
#[derive(Debug)]
pub(crate) struct UdpSocket {
    io: tokio::net::UdpSocket,
    /// An IPv6 socket: IPv4 peers have mapped addresses, which nobody else gets to see.
    is_wide: bool,
    receiver: platform::Receiver,
    /// What datagrams have to come through, both ways.
    line: Option<Box<Line>>,
}

impl UdpSocket {
    /// Takes a socket over into the runtime of this thread. It will receive up to `batch` datagrams a call.
    pub(crate) fn adopt(socket: std::net::UdpSocket, batch: usize) -> io::Result<Self> {
        let io = tokio::net::UdpSocket::from_std(socket)?;
        let is_wide = io.local_addr()?.is_ipv6();
        Ok(Self { io, is_wide, receiver: platform::Receiver::new(batch), line: None })
    }

    /// The same socket at the end of a line.
    pub(crate) fn behind(self, line: Option<Line>) -> Self {
        Self { line: line.map(Box::new), ..self }
    }

    /// Goes on with another socket. What is on its way on the line is lost.
    pub(crate) fn replace(&mut self, socket: std::net::UdpSocket) -> io::Result<()> {
        self.io = tokio::net::UdpSocket::from_std(socket)?;
        self.is_wide = self.io.local_addr()?.is_ipv6();
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
        let Self { io, is_wide, receiver, line } = self;
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
        platform::send(&self.io, self.is_wide, outbox, counters);
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
