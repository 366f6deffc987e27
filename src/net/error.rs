//! What can go wrong where a server or client is started: mistakes and facts the caller must hear about.
//!
//! Nothing that happens later is an error: it is counted ([`super::udp::SocketStats`]).

use std::io;

use thiserror::Error;

/// Why a server or client could not be started. The messages name the address and a way out.
#[derive(Debug, Error)]
pub enum NetError {
    /// Another socket has the port.
    #[error(
        "{host}:{port} is already in use: another server is running there; stop it, \
         or choose another port (0 takes any free one)"
    )]
    AddressInUse {
        /// The host as the caller spelled it.
        host: String,
        /// The port asked for.
        port: u16,
    },
    /// The system does not let this user have the port.
    #[error("no permission to use {host}:{port}: choose a port from 1024 to 65535 (0 takes any free one)")]
    PermissionDenied {
        /// The host as the caller spelled it.
        host: String,
        /// The port asked for.
        port: u16,
    },
    /// The host is known, but none of its addresses belongs to this machine.
    #[error(
        "cannot listen on {host}:{port}: {host} is not an address of this machine; \
         use '0.0.0.0' for all IPv4 addresses, '::' for all addresses, or 'localhost'"
    )]
    NotLocal {
        /// The host as the caller spelled it.
        host: String,
        /// The port asked for.
        port: u16,
    },
    /// The hostname means nothing here.
    #[error("cannot resolve hostname '{host}': check the spelling, or give an IP address ({source})")]
    Resolve {
        /// The host as the caller spelled it.
        host: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// A load for a machine that may not be the caller's.
    #[error(
        "{host}:{port} is neither on this machine nor in a private network: load only servers of your own \
         (--i-own-this-server says that this is one)"
    )]
    NotAtHome {
        /// The host as the caller spelled it.
        host: String,
        /// The port asked for.
        port: u16,
    },
    /// Anything else the system refused.
    #[error("cannot {action} {host}:{port}: {source}")]
    Io {
        /// What was tried: `listen on`, `connect to`, `start a thread for`.
        action: &'static str,
        /// The host as the caller spelled it.
        host: String,
        /// The port asked for.
        port: u16,
        /// What the system said.
        source: io::Error,
    },
}

impl NetError {
    /// The error of an attempt to have `host`:`port`, by what the system said.
    pub(crate) fn from_io(action: &'static str, host: &str, port: u16, source: io::Error) -> Self {
        let host = host.to_owned();
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::AddressInUse { host, port },
            io::ErrorKind::PermissionDenied => Self::PermissionDenied { host, port },
            io::ErrorKind::AddrNotAvailable => Self::NotLocal { host, port },
            _ => Self::Io { action, host, port, source },
        }
    }

    /// The kind of error in the standard library's terms, which other languages have too.
    pub fn kind(&self) -> io::ErrorKind {
        match self {
            Self::AddressInUse { .. } => io::ErrorKind::AddrInUse,
            Self::PermissionDenied { .. } | Self::NotAtHome { .. } => io::ErrorKind::PermissionDenied,
            Self::NotLocal { .. } => io::ErrorKind::AddrNotAvailable,
            Self::Resolve { .. } => io::ErrorKind::NotFound,
            Self::Io { source, .. } => source.kind(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_name_the_address_and_a_way_out() {
        let error = |kind: io::ErrorKind| NetError::from_io("listen on", "localhost", 80, kind.into());
        let in_use = error(io::ErrorKind::AddrInUse);
        assert!(matches!(in_use, NetError::AddressInUse { port: 80, .. }));
        assert!(in_use.to_string().contains("localhost:80 is already in use"));
        let denied = error(io::ErrorKind::PermissionDenied);
        assert!(denied.to_string().contains("choose a port from 1024"));
        let foreign = error(io::ErrorKind::AddrNotAvailable);
        assert!(foreign.to_string().contains("not an address of this machine"));
        let other = error(io::ErrorKind::OutOfMemory);
        assert!(other.to_string().starts_with("cannot listen on localhost:80"));
        for (error, kind) in [
            (in_use, io::ErrorKind::AddrInUse),
            (denied, io::ErrorKind::PermissionDenied),
            (foreign, io::ErrorKind::AddrNotAvailable),
            (other, io::ErrorKind::OutOfMemory),
        ] {
            assert_eq!(error.kind(), kind);
        }
    }
}
