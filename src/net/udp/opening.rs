//! From a name and a port to a socket: resolving, binding, connecting.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::platform;
use crate::net::error::NetError;

/// The receive buffer asked of the system for a server: some 1000 small datagrams a millisecond of delay.
const SERVER_RECEIVE_BUFFER: usize = 4 << 20;

/// The same for a client, which has one peer.
const CLIENT_RECEIVE_BUFFER: usize = 1 << 20;

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
