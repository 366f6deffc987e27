//! Datagrams that every path takes whole, which the system then need not number.
//!
//! A number is for putting the pieces of a datagram together again. Linux marks what fits as not to be cut, but draws a
//! number all the same, from a table in memory that no processor has at hand: a twentieth of the time of a server with
//! thousands of clients. It draws none for a socket that forbids cutting, and then refuses what does not fit.

use std::os::fd::AsFd;

use rustix::net::sockopt::{Ipv4PathMtuDiscovery, ip_mtu_discover, set_ip_mtu_discover};

/// The largest datagram that is not to be cut: 576 bytes with the longest headers, and less than the 552 that Linux takes
/// for the narrowest path there is. Larger ones go as they always do: 2048 bytes have to be cut on most paths.
pub(super) const SMALL: usize = 508;

/// Whether what a socket sends may be cut.
#[derive(Debug, Default)]
pub(super) struct Cutting {
    /// What the system does by itself, once it was asked.
    usual: Option<Ipv4PathMtuDiscovery>,
    is_forbidden: bool,
    /// There is an interface that does not even take small ones.
    is_needed: bool,
}

impl Cutting {
    /// Forbids it to a socket of IPv4 when all of `sizes` are small, and allows it again when one is not.
    pub(super) fn suit(&mut self, socket: impl AsFd, mut sizes: impl Iterator<Item = usize>) {
        self.set(socket, !self.is_needed && sizes.all(|size| size <= SMALL));
    }

    /// Allows it for good, if it was forbidden; says whether that was so.
    pub(super) fn give_up(&mut self, socket: impl AsFd) -> bool {
        let was_forbidden = self.is_forbidden;
        self.is_needed |= was_forbidden;
        self.set(socket, false);
        was_forbidden && !self.is_forbidden
    }

    /// A system that refuses goes on as it does.
    fn set(&mut self, socket: impl AsFd, forbid: bool) {
        if forbid == self.is_forbidden {
            return;
        }
        let usual = match self.usual {
            Some(usual) => usual,
            None => match ip_mtu_discover(&socket) {
                Ok(usual) => *self.usual.insert(usual),
                Err(_) => return,
            },
        };
        let wanted = if forbid { Ipv4PathMtuDiscovery::DO } else { usual };
        if set_ip_mtu_discover(socket, wanted).is_ok() {
            self.is_forbidden = forbid;
        }
    }
}
