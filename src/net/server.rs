//! A server: one thread that drives a [`ServerEndpoint`] over one socket.
//!
//! Owns the thread and its runtime. Each turn receives what is there in batches, steps the endpoint, sends what is due
//! in batches and puts what happened into the [`Inbox`]. Holds no lock over a call to the system; nothing but
//! [`UdpServer::stop`] ends the loop.

mod shard;
mod turns;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError, mpsc as sync_mpsc};
use std::time::Duration;

use super::error::NetError;
use super::inbox::{Inbox, Notice};
use super::line::Line;
use super::log::Troubles;
use super::udp::{self, SocketStats};
use crate::endpoint::{self, Bell, Commons, Peer, ServerConfig, ServerEndpoint};
use crate::state::Store;
use shard::Shard;
use turns::Endpoint;

impl Endpoint for ServerEndpoint {
    fn handle_datagram(&mut self, now: Duration, from: SocketAddr, bytes: &[u8]) {
        self.handle_datagram(now, from, bytes);
    }

    fn handle_timeout(&mut self, now: Duration) {
        self.handle_timeout(now);
    }

    fn poll_transmit(&mut self, now: Duration, out: &mut Vec<u8>) -> Option<SocketAddr> {
        self.poll_transmit(now, out)
    }

    fn poll_timeout(&self) -> Option<Duration> {
        self.poll_timeout()
    }

    fn poll_notice(&mut self) -> Option<Notice> {
        self.poll_event().map(Notice::Server)
    }

    fn bell(&self) -> Arc<Bell> {
        Arc::clone(self.bell())
    }

    fn set_unheard(&mut self, unheard: usize) {
        self.set_unheard(unheard);
    }

    fn troubles(&self, socket: SocketStats) -> Vec<Troubles> {
        // With most nothing ever went wrong, and there may be thousands.
        let of = |peer: &Arc<Peer>| {
            let stats = peer.lock().connection().stats;
            let is_sound = stats.dropped().all(|(_, total)| total == 0);
            (!is_sound).then(|| Troubles { peer: Some(peer.address()), totals: stats.dropped().collect() })
        };
        let totals = socket.dropped().chain(self.counters().dropped()).collect();
        self.peers().filter_map(of).chain([Troubles { peer: None, totals }]).collect()
    }

    fn close(&mut self, now: Duration) {
        self.close(now);
    }
}

/// What a server went through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerStats {
    /// Its socket.
    pub socket: SocketStats,
    /// Its endpoint: strangers and limits.
    pub endpoint: endpoint::Counters,
    /// How its endpoint stands.
    pub gauges: endpoint::Gauges,
}

impl ServerStats {
    /// Every figure under the name users know it by.
    pub fn entries(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.socket.entries().chain(self.endpoint.entries()).chain(self.gauges.entries())
    }
}

/// A server that runs, from [`UdpServer::start`] to [`UdpServer::stop`] (or until it is dropped).
#[derive(Debug)]
pub struct UdpServer {
    address: SocketAddr,
    shards: Vec<Shard<ServerEndpoint>>,
    commons: Commons,
    /// What each shard said last of itself.
    known: Mutex<Vec<(endpoint::Counters, endpoint::Gauges)>>,
}

impl UdpServer {
    /// Starts a server on `host`:`port` (0 takes any free one). What happens goes into `inbox`. Peers of an earlier
    /// run, `remembered`, are taken up again when they prove themselves again.
    #[allow(clippy::needless_pass_by_value, reason = "they are the server's")]
    pub fn start(
        host: &str,
        port: u16,
        config: ServerConfig,
        store: Arc<Mutex<Store>>,
        inbox: Arc<Inbox>,
        remembered: Vec<Arc<Peer>>,
    ) -> Result<Self, NetError> {
        Self::start_sharded(1, None, host, port, config, &store, &inbox, remembered)
    }

    /// The same with so many `shards`, each with a thread, and at the end of a `line`, which only one shard can be.
    /// One shard where the platform does not keep senders apart.
    #[allow(clippy::too_many_arguments, reason = "each is a part of a server")]
    pub fn start_sharded(
        shards: usize,
        line: Option<Line>,
        host: &str,
        port: u16,
        config: ServerConfig,
        store: &Arc<Mutex<Store>>,
        inbox: &Arc<Inbox>,
        remembered: Vec<Arc<Peer>>,
    ) -> Result<Self, NetError> {
        let failed = |action| move |source| NetError::from_io(action, host, port, source);
        let sockets = udp::bind_group(host, port, if line.is_some() { 1 } else { shards })?;
        let commons = Commons::default();
        let (mut line, mut shards, mut remembered) = (line, Vec::<Shard<_>>::new(), remembered);
        for socket in sockets {
            let mut secret = [0; 16];
            let random = getrandom::fill(&mut secret).map_err(|e| io::Error::other(e.to_string()));
            random.map_err(failed("get randomness for"))?;
            let mut endpoint = ServerEndpoint::shard(config, Arc::clone(store), secret, &commons);
            // They are common to all.
            remembered.drain(..).for_each(|peer| endpoint.remember(peer));
            let shard = Shard::start(line.take(), socket, endpoint, Arc::clone(inbox));
            shards.push(shard.map_err(failed("start a thread for"))?);
        }
        let address = shards.first().map_or(SocketAddr::from(([0; 4], 0)), |shard| shard.address);
        Ok(Self { address, shards, commons, known: Mutex::default() })
    }

    /// The address it listens on.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// [`ServerEndpoint::ban`] in the threads of the server; whether there was room, None if it has stopped.
    pub fn ban(
        &self,
        host: IpAddr,
        port: Option<u16>,
        time: Option<Duration>,
        reason: String,
    ) -> Option<bool> {
        self.ask_all(move |endpoint, now| endpoint.ban(now, host, port, time, &reason))
    }

    /// Does the same with each endpoint, in its thread; whether all said yes, None if one has stopped.
    fn ask_all(
        &self,
        question: impl Fn(&mut ServerEndpoint, Duration) -> bool + Clone + Send + 'static,
    ) -> Option<bool> {
        let ask = |shard: &Shard<ServerEndpoint>| {
            let ((answer, answered), question) = (sync_mpsc::sync_channel(1), question.clone());
            shard.call(move |endpoint, now| {
                let _ = answer.send(question(endpoint, now));
            });
            answered
        };
        let asked: Vec<_> = self.shards.iter().map(ask).collect();
        let answers = asked.iter().map(|answered| answered.recv_timeout(Duration::from_secs(1)).ok());
        answers.collect::<Option<Vec<_>>>().map(|said| said.into_iter().all(|yes| yes))
    }

    /// [`ServerEndpoint::unban`] in the threads of the server; whether there was one, None if it has stopped.
    pub fn unban(&self, host: IpAddr, port: Option<u16>) -> Option<bool> {
        self.ask_all(move |endpoint, _| endpoint.unban(host, port))
    }

    /// What it went through, also after it has stopped.
    pub fn stats(&self) -> ServerStats {
        let mut all = ServerStats::default();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.resize(self.shards.len(), Default::default());
        for (shard, known) in self.shards.iter().zip(&mut *known) {
            let asked = shard.query(|endpoint| (*endpoint.counters(), endpoint.gauges()));
            // Of one that is too busy to answer, as it was when last asked: counters never go back.
            *known = asked.unwrap_or(*known);
            let (endpoint, gauges) = *known;
            all.socket += shard.counters.snapshot();
            all.endpoint += endpoint;
            all.gauges.unproven_entries += gauges.unproven_entries;
            all.gauges.unproven_memory += gauges.unproven_memory;
            // The same everywhere.
            all.gauges.bans = gauges.bans;
        }
        all.gauges.connections = self.commons.connections();
        all
    }

    /// Stops it: every session ends, [`Notice::Stopped`] is the last notice of each shard, and the port is free when this returns.
    pub fn stop(&self) {
        self.shards.iter().for_each(Shard::stop);
    }
}

#[cfg(test)]
#[path = "server/tests.rs"]
mod tests;
