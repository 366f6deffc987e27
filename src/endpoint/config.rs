//! What a server may be told.

use std::time::Duration;

use crate::connection::Config;

/// Timing and limits of a server. What exceeds a limit is dropped and counted; nothing else comes of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ServerConfig {
    /// Timing and limits of each connection.
    pub connection: Config,
    /// How many connections there may be.
    pub max_connections: usize,
    /// A connection from which nothing has come for this long is forgotten.
    pub idle_removal: Duration,
    /// How many addresses that have not proven themselves may be known, rounded up to a multiple of 16. The ones that
    /// have been silent longest make room for others.
    pub max_unproven: usize,
    /// How many connections one source may have: an IPv4 address, or an IPv6 network of 64 bits. `None` is
    /// [`Self::CONNECTIONS_PER_SOURCE`], and no limit for sources on this machine or in private networks.
    pub max_connections_per_source: Option<u32>,
    /// How many connections one source may begin in a second. `None` is [`Self::NEW_PER_SOURCE`], with the same
    /// exception.
    pub max_new_per_source: Option<u32>,
    /// How many packages a second one connection may send; as many may come at once.
    pub max_package_rate: u32,
    /// How many bytes of events a second one connection may send; as many may come at once.
    pub max_event_rate: u32,
    /// How many hosts may be banned, and how many addresses.
    pub max_bans: usize,
    /// Whether the host may shut the server down.
    pub host_shutdown: bool,
}

impl ServerConfig {
    /// The default limit of connections from one source.
    pub const CONNECTIONS_PER_SOURCE: u32 = 256;
    /// The default limit of connections begun by one source in a second.
    pub const NEW_PER_SOURCE: u32 = 64;
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            connection: Config::default(),
            max_connections: 16_384,
            idle_removal: Duration::from_secs(60),
            max_unproven: 8192,
            max_connections_per_source: None,
            max_new_per_source: None,
            max_package_rate: 500,
            max_event_rate: 256 * 1024,
            max_bans: 65_536,
            host_shutdown: true,
        }
    }
}
