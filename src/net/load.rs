//! Many clients in one thread, to see what a server holds: real sockets, the real protocol, no game.
//!
//! Each client numbers, acknowledges and reports time orders as an original one does, and sends events at a
//! chosen rate. It keeps no copy of the state: what is measured is the server.

mod age;
mod clients;
mod ports;

use std::{io, net::IpAddr, sync::Arc, time::Duration};

pub use age::{Ages, StateClock};

use super::{
    error::NetError,
    udp,
    worker::{Shared, Worker},
};
use ports::Opening;

/// Width of a bar of the round trip histogram.
const RTT_STEP: Duration = Duration::from_micros(100);
/// Bars of it; the last one stands for all that is longer.
const RTT_STEPS: usize = 20_000;
/// What to do to a server.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadOptions {
    /// How many clients.
    pub clients: usize,
    /// How many of them start per second.
    pub ramp: f64,
    /// How long to measure, from the moment all have started.
    pub measure: Duration,
    /// A msgpacked event and how often each client sends it per second.
    pub event: Option<(Arc<[u8]>, f64)>,
    /// What tells how old a state is.
    pub clock: Option<StateClock>,
    /// Whether the server may be at an address that is neither loopback nor private.
    pub anywhere: bool,
}

/// What the clients have seen so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LoadReport {
    /// Clients that have started.
    pub started: usize,
    /// Clients that a server has answered.
    pub answered: usize,
    /// Clients that have been given a game state.
    pub joined: usize,
    /// Whether the figures below are being taken.
    pub measuring: bool,
    /// Time measured so far.
    pub measured: Duration,
    /// Packages each client received while measured.
    pub packages: Vec<u64>,
    /// Round trips, counted by [`LoadReport::rtt_quantile`]'s resolution of 0.1 ms.
    rtt: Vec<u32>,
    /// Packages sent while measured.
    pub sent: u64,
    /// Bytes received while measured.
    pub bytes_in: u64,
    /// Bytes sent while measured.
    pub bytes_out: u64,
    /// Own packages that were not acknowledged in time.
    pub lost: u64,
    /// Packages that came twice.
    pub duplicate: u64,
    /// Datagrams that were no packages.
    pub malformed: u64,
    /// Datagrams that came to a port of several clients from somebody else than the server, or for none of them.
    pub strangers: u64,
    /// Events sent while measured.
    pub events_sent: u64,
    /// Events received while measured.
    pub events_received: u64,
    /// How old the state was that some of the clients held, whenever a package came in.
    pub ages: Ages,
    /// Packages the generator itself sent more than 10 ms late: it is the bottleneck where these are many.
    pub late_sends: u64,
}

impl LoadReport {
    /// The round trip time that a share `quantile` (0.0..=1.0) of the packages stayed below; `None` without any.
    pub fn rtt_quantile(&self, quantile: f64) -> Option<Duration> {
        let all: u64 = self.rtt.iter().map(|&count| u64::from(count)).sum();
        let wanted = (all as f64 * quantile).ceil().max(1.0) as u64;
        let mut seen = 0;
        let bar = self.rtt.iter().position(|&count| {
            seen += u64::from(count);
            seen >= wanted
        })?;
        Some(RTT_STEP * (bar as u32 + 1))
    }

    /// How many round trips took how many tenths of a millisecond, without those that none took.
    pub fn rtt_histogram(&self) -> impl Iterator<Item = (usize, u32)> + '_ {
        self.rtt.iter().copied().enumerate().filter(|&(_, count)| count > 0)
    }

    fn count_rtt(&mut self, round_trip: Duration) {
        if self.rtt.is_empty() {
            self.rtt = vec![0; RTT_STEPS];
        }
        let bar = (round_trip.as_nanos() / RTT_STEP.as_nanos()) as usize;
        if let Some(count) = self.rtt.get_mut(bar.min(RTT_STEPS - 1)) {
            *count += 1;
        }
    }
}

/// A load that is on, until its time is over or it is stopped or dropped.
#[derive(Debug)]
pub struct Load(Worker<LoadReport>);

impl Load {
    /// Starts clients of the server at `host`:`port`, in a thread of their own.
    pub fn start(host: &str, port: u16, options: LoadOptions) -> Result<Self, NetError> {
        let remote = udp::resolve(host, port)?.into_iter().map(udp::reachable).next();
        let failed = |source| NetError::Io { action: "connect to", host: host.to_owned(), port, source };
        let remote = remote.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
        if !options.anywhere && !is_at_home(remote.ip()) {
            return Err(NetError::NotAtHome { host: host.to_owned(), port });
        }
        // All sockets at once, so that too low a limit on open files is an error here.
        let sockets = Opening::new(remote, options.clients).map_err(failed)?;
        let work = move |shared: &Shared<LoadReport>| clients::run(sockets, &options, shared);
        Ok(Self(Worker::start("pygase-load", work).map_err(failed)?))
    }

    /// What the clients have seen so far, at most a quarter of a second ago.
    pub fn report(&self) -> LoadReport {
        self.0.report()
    }

    /// Whether all is measured, or it was stopped.
    pub fn is_over(&self) -> bool {
        self.0.is_over()
    }

    /// Ends it, over or not.
    pub fn stop(&self) {
        self.0.stop();
    }
}

/// Whether an address belongs to this machine or to a private network.
fn is_at_home(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn home_is_this_machine_and_private_networks() {
        for home in
            ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "::1", "fd00::1", "::ffff:10.0.0.1"]
        {
            assert!(is_at_home(home.parse().unwrap()), "{home}");
        }
        for away in ["8.8.8.8", "172.32.0.1", "0.0.0.0", "2001:db8::1", "::ffff:8.8.8.8"] {
            assert!(!is_at_home(away.parse().unwrap()), "{away}");
        }
    }

    #[test]
    fn a_quantile_is_the_upper_edge_of_its_bar() {
        let mut report = LoadReport::default();
        assert_eq!(report.rtt_quantile(0.5), None);
        for tenths in 0..100 {
            report.count_rtt(RTT_STEP * tenths);
        }
        report.count_rtt(Duration::from_secs(60));
        assert_eq!(report.rtt_quantile(0.5), Some(RTT_STEP * 51));
        assert_eq!(report.rtt_quantile(1.0), Some(RTT_STEP * RTT_STEPS as u32));
    }
}
