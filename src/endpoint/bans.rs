//! Addresses from which nothing is taken in, for ever or for a while.

use std::{
    collections::{HashMap, HashSet},
    net::{IpAddr, SocketAddr},
    time::Duration,
};

/// Hosts, and single addresses with the time until which they are banned.
#[derive(Debug)]
pub(super) struct Bans {
    /// How many hosts there may be, and how many addresses.
    most: usize,
    hosts: HashSet<IpAddr>,
    addresses: HashMap<SocketAddr, Duration>,
}

impl Bans {
    /// None yet.
    pub(super) fn new(most: usize) -> Self {
        Self { most, hosts: HashSet::new(), addresses: HashMap::new() }
    }

    /// Whether nothing is to be taken from `from`. Costs nothing while there are no bans.
    pub(super) fn cover(&self, now: Duration, from: SocketAddr) -> bool {
        !self.hosts.is_empty() && self.hosts.contains(&from.ip().to_canonical())
            || !self.addresses.is_empty()
                && self.addresses.get(&canonical(from)).is_some_and(|until| now < *until)
    }

    /// How many there are, those that are over and not cleared away yet included.
    pub(super) fn len(&self) -> usize {
        self.hosts.len() + self.addresses.len()
    }

    /// Bans a host, or with a port that address only, for ever or until `until`; says whether there was room.
    pub(super) fn add(
        &mut self,
        now: Duration,
        host: IpAddr,
        port: Option<u16>,
        until: Option<Duration>,
    ) -> bool {
        let host = host.to_canonical();
        let Some(port) = port else {
            let fits = self.hosts.len() < self.most || self.hosts.contains(&host);
            if fits {
                self.hosts.insert(host);
            }
            return fits;
        };
        if self.addresses.len() >= self.most {
            self.addresses.retain(|_, until| now < *until);
        }
        let address = SocketAddr::new(host, port);
        let fits = self.addresses.len() < self.most || self.addresses.contains_key(&address);
        if fits {
            let until = until.unwrap_or(Duration::MAX);
            let before = self.addresses.entry(address).or_default();
            *before = until.max(*before);
        }
        fits
    }

    /// Lifts the ban of a host, or of an address; says whether there was one.
    pub(super) fn lift(&mut self, host: IpAddr, port: Option<u16>) -> bool {
        let host = host.to_canonical();
        match port {
            Some(port) => self.addresses.remove(&SocketAddr::new(host, port)).is_some(),
            None => self.hosts.remove(&host),
        }
    }
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_addresses_are_banned_in_all_their_forms() {
        let (mut bans, now) = (Bans::new(10), Duration::from_secs(1));
        let address = |text: &str| -> SocketAddr { text.parse().unwrap() };
        let host = address("192.0.2.1:0").ip();
        assert!(!bans.cover(now, address("192.0.2.1:7")));
        assert!(bans.add(now, host, Some(7), None));
        assert!(bans.cover(now, address("192.0.2.1:7")) && bans.cover(now, address("[::ffff:192.0.2.1]:7")));
        assert!(!bans.cover(now, address("192.0.2.1:8")));
        assert!(bans.add(now, host, None, None) && bans.add(now, host, None, None));
        assert!(bans.cover(now, address("[::ffff:192.0.2.1]:8")));
        assert!(bans.lift(host, None) && !bans.lift(host, None) && bans.lift(host, Some(7)));
        assert!(!bans.cover(now, address("192.0.2.1:7")));
    }

    #[test]
    fn bans_end_in_time_and_are_bounded() {
        const MOST: usize = 100;
        let (mut bans, second) = (Bans::new(MOST), Duration::from_secs(1));
        let host = |n: usize| IpAddr::from((n as u128).to_be_bytes());
        for n in 0..MOST {
            assert!(bans.add(second, host(n), Some(7), Some(second * 2)));
        }
        assert!(bans.cover(second, SocketAddr::new(host(3), 7)));
        assert!(!bans.cover(second * 2, SocketAddr::new(host(3), 7)));
        assert!(!bans.add(second, host(MOST), Some(7), None));
        assert!(bans.add(second * 2, host(MOST), Some(7), None), "those that are over make room");
    }
}
