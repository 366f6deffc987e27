//! Where connections come from: how many one source has, and how fast it makes them.
//!
//! Only addresses that have proven themselves count, so that nobody can use up the share of somebody else. A
//! source without a connection is forgotten.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use super::{ServerConfig, bucket::Bucket};

/// An IPv4 address, or an IPv6 network of 64 bits: what one customer of a provider usually has.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Source(IpAddr);

impl Source {
    pub(super) fn of(address: SocketAddr) -> Self {
        Self(match address.ip().to_canonical() {
            IpAddr::V4(ip) => ip.into(),
            IpAddr::V6(ip) => Ipv6Addr::from(u128::from(ip) >> 64 << 64).into(),
        })
    }

    /// The address, or that of the network.
    pub(super) fn ip(self) -> IpAddr {
        self.0
    }

    /// Whether it is on this machine or in a private network, where nobody comes from anywhere else.
    pub(super) fn is_private(self) -> bool {
        match self.0 {
            IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
            // Of the loopback address only the network is left.
            IpAddr::V6(ip) => ip.is_unspecified() || ip.is_unique_local() || ip.is_unicast_link_local(),
        }
    }
}

#[derive(Debug, Default)]
struct Share {
    connections: u32,
    fresh: Bucket,
}

/// How many connections each source has.
#[derive(Debug, Default)]
pub(super) struct Sources(HashMap<Source, Share>);

impl Sources {
    /// Counts a connection from `address`, unless its source has enough or makes them too fast; says whether it did.
    pub(super) fn admit(&mut self, now: Duration, address: SocketAddr, config: &ServerConfig) -> bool {
        let source = Source::of(address);
        let limit = |set: Option<u32>, default| match set {
            None if source.is_private() => u32::MAX,
            set => set.unwrap_or(default),
        };
        let most = limit(config.max_connections_per_source, ServerConfig::CONNECTIONS_PER_SOURCE);
        let rate = limit(config.max_new_per_source, ServerConfig::NEW_PER_SOURCE);
        let share = self.0.entry(source).or_default();
        let may = share.connections < most && share.fresh.take(now, 1, rate);
        share.connections += u32::from(may);
        may
    }

    /// Counts a connection that came here from another address.
    pub(super) fn enter(&mut self, address: SocketAddr) {
        self.0.entry(Source::of(address)).or_default().connections += 1;
    }

    /// A connection from `address` is there no more.
    pub(super) fn leave(&mut self, address: SocketAddr) {
        if let Some(share) = self.0.get_mut(&Source::of(address)) {
            share.connections = share.connections.saturating_sub(1);
        }
    }

    /// Forgets sources that have no connection and made none lately.
    pub(super) fn sweep(&mut self, now: Duration) {
        self.0.retain(|_, share| share.connections > 0 || !share.fresh.is_full(now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_addresses_or_networks_and_private_ones_are_known() {
        let source = |text: &str| Source::of(format!("{text}:1").parse().unwrap());
        assert_eq!(source("[2001:db8::1]"), source("[2001:db8::ffff:1:2:3]"));
        assert_ne!(source("[2001:db8::1]"), source("[2001:db8:0:1::1]"));
        assert_eq!(source("[::ffff:9.9.9.9]"), source("9.9.9.9"));
        assert_ne!(source("9.9.9.9"), source("9.9.9.8"));
        for private in [
            "127.0.0.1",
            "10.1.2.3",
            "192.168.0.9",
            "172.16.5.5",
            "169.254.1.1",
            "[::1]",
            "[fe80::1]",
            "[fd00::1]",
        ] {
            assert!(source(private).is_private(), "{private}");
        }
        for public in ["9.9.9.9", "172.32.0.1", "[2001:db8::1]"] {
            assert!(!source(public).is_private(), "{public}");
        }
    }

    #[test]
    fn a_source_has_its_share_and_gets_it_back() {
        let (mut sources, config) = (Sources::default(), ServerConfig::default());
        let at = |port: u16| SocketAddr::from(([9, 9, 9, 9], port));
        let second = Duration::from_secs(1);
        let mut begun = 0;
        for turn in 1..20 {
            begun += (0..1000).filter(|port| sources.admit(second * turn, at(*port), &config)).count();
            assert_eq!(begun, (64 * turn as usize).min(256));
        }
        assert!(sources.admit(second, SocketAddr::from(([9, 9, 9, 8], 1)), &config), "another one");
        sources.leave(at(1));
        assert!(sources.admit(second * 30, at(1), &config));
        (0..256).for_each(|port| sources.leave(at(port)));
        sources.leave(SocketAddr::from(([9, 9, 9, 8], 1)));
        sources.sweep(second * 40);
        assert!(sources.0.is_empty());
        let private = SocketAddr::from(([192, 168, 0, 1], 1));
        assert!((0..3000).all(|_| sources.admit(second, private, &config)));
        let strict = ServerConfig { max_connections_per_source: Some(5), ..config };
        assert!(!sources.admit(second, private, &strict), "set, it counts for all");
    }
}
