//! A server: one thread that drives a [`ServerEndpoint`] over one socket.
//!
//! Owns the thread and its runtime. Each turn receives what is there in batches, steps the endpoint, sends what is due
//! in batches and puts what happened into the [`Inbox`]. Holds no lock over a call to the system; nothing but
//! [`UdpServer::stop`] ends the loop.

use std::net::{IpAddr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc as sync_mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use std::{io, mem, process};

use tokio::runtime::Builder;
use tokio::sync::mpsc::{self, Receiver, Sender};

use super::clock;
use super::commands;
use super::driver::{Alarm, Doorbell, Failures, RECEIVES_PER_TURN, SENDS_PER_TURN, Wake, message, wait};
use super::error::NetError;
use super::fork;
use super::inbox::{Inbox, Notice};
use super::line::Line;
use super::log::{Log, Troubles};
use super::udp::{self, BATCH, Counters, Outbox, SocketStats, UdpSocket};
use crate::endpoint::{self, Bell, Commons, Peer, ServerConfig, ServerEndpoint};
use crate::recording::Way;
use crate::state::Store;

/// What the thread of a server drives.
trait Endpoint: Send + 'static {
    fn handle_datagram(&mut self, now: Duration, from: SocketAddr, bytes: &[u8]);
    fn handle_timeout(&mut self, now: Duration);
    fn poll_transmit(&mut self, now: Duration, out: &mut Vec<u8>) -> Option<SocketAddr>;
    fn poll_timeout(&self) -> Option<Duration>;
    fn poll_notice(&mut self) -> Option<Notice>;
    /// Rung when something may be due earlier than it said.
    fn bell(&self) -> Arc<Bell> {
        Arc::default()
    }
    /// How many clients that are gone are not known to be: see [`ServerEndpoint::set_unheard`].
    fn set_unheard(&mut self, _unheard: usize) {}
    /// What was lost or dropped so far.
    fn troubles(&self, _socket: SocketStats) -> Vec<Troubles> {
        Vec::new()
    }
    /// Ends every session.
    fn close(&mut self, now: Duration);
}

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

/// How many commands may wait for a thread; who has another waits for room.
const MAX_COMMANDS: usize = 64;

/// Something to be done in the thread of a server, between two turns. They come from this process alone.
type Command<E> = Box<dyn FnOnce(&mut E, Duration) + Send>;

/// A thread that drives an endpoint.
#[derive(Debug)]
struct Shard<E> {
    address: SocketAddr,
    counters: Arc<Counters>,
    /// The process that has the thread: a forked child has a copy of this, but no thread.
    process: u32,
    state: Mutex<State<E>>,
}

#[derive(Debug)]
enum State<E> {
    Running {
        /// Dropping it stops the thread.
        commands: Sender<Command<E>>,
        thread: JoinHandle<Option<E>>,
    },
    /// With what is left of the endpoint, unless its thread died.
    Stopped(Option<E>),
}

impl<E: Endpoint> Shard<E> {
    /// Drives in a thread of its own what comes to `socket`.
    fn start(
        line: Option<Line>,
        socket: std::net::UdpSocket,
        endpoint: E,
        inbox: Arc<Inbox>,
    ) -> io::Result<Self> {
        let address = socket.local_addr()?;
        let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
        let (commands, receiver) = mpsc::channel(MAX_COMMANDS);
        let counters = Arc::new(Counters::default());
        let driver = {
            let _inside = runtime.enter();
            Driver {
                socket: UdpSocket::adopt(socket, BATCH)?.behind(line),
                commands: receiver,
                outbox: Outbox::default(),
                notices: Vec::new(),
                unheard: 0,
                failures: Failures::new(Arc::clone(&counters), Arc::clone(&inbox)),
                alarm: Alarm::new(),
                doorbell: Doorbell::of(&endpoint.bell()),
                endpoint,
                counters: Arc::clone(&counters),
                log: Log::new(Arc::clone(&inbox)),
                inbox,
            }
        };
        let drive = move || {
            let inbox = Arc::clone(&driver.inbox);
            let endpoint = catch_unwind(AssertUnwindSafe(|| runtime.block_on(driver.run())));
            // The driver is gone, and with it the socket: the port is free before anybody hears of it.
            drop(runtime);
            if let Err(panic) = &endpoint {
                inbox.report(message(panic.as_ref()));
            }
            inbox.push(Notice::Stopped);
            endpoint.ok()
        };
        let thread = thread::Builder::new().name("pygase-server".into()).spawn(drive);
        let state = Mutex::new(State::Running { commands, thread: thread? });
        Ok(Self { address, counters, process: std::process::id(), state })
    }

    /// Does `command` in the thread, soon; false if it has stopped. Waits where [`MAX_COMMANDS`] wait before it.
    fn call(&self, command: impl FnOnce(&mut E, Duration) + Send + 'static) -> bool {
        match &*self.lock() {
            State::Running { commands, .. } if process::id() == self.process => {
                commands::send(commands, Box::new(command))
            }
            State::Running { .. } | State::Stopped(_) => false,
        }
    }

    /// Asks the endpoint something, in its thread while it runs; None if it did not answer within a second.
    fn query<T: Send + 'static>(&self, question: impl FnOnce(&E) -> T + Send + 'static) -> Option<T> {
        if let State::Stopped(endpoint) = &*self.lock() {
            return endpoint.as_ref().map(question);
        }
        let (answer, answered) = sync_mpsc::sync_channel(1);
        self.call(move |endpoint, _| {
            let _ = answer.send(question(endpoint));
        });
        answered.recv_timeout(Duration::from_secs(1)).ok()
    }
}

impl<E> Shard<E> {
    /// Ends the thread and waits for it; at once when it has ended before.
    fn stop(&self) {
        // Held while waiting, so that whoever else stops it waits too. The thread knows nothing of it.
        let mut state = self.lock();
        let State::Running { commands, thread } = mem::replace(&mut *state, State::Stopped(None)) else {
            return;
        };
        if process::id() != self.process {
            // The thread is the parent's, and so is what the channel would wake.
            mem::forget((commands, thread));
            return;
        }
        drop(commands);
        *state = State::Stopped(thread.join().ok().flatten());
    }

    fn lock(&self) -> MutexGuard<'_, State<E>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<E> Drop for Shard<E> {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What the thread has.
struct Driver<E> {
    socket: UdpSocket,
    endpoint: E,
    commands: Receiver<Command<E>>,
    outbox: Outbox,
    notices: Vec<Notice>,
    /// How many clients were not known to be gone when last looked at.
    unheard: usize,
    failures: Failures,
    alarm: Alarm,
    doorbell: Doorbell,
    counters: Arc<Counters>,
    log: Log,
    inbox: Arc<Inbox>,
}

impl<E: Endpoint> Driver<E> {
    async fn run(mut self) -> E {
        loop {
            let is_busy = self.turn();
            let Self { socket, endpoint, commands, failures, alarm, doorbell, .. } = &mut self;
            let deadline = failures.catch(|| endpoint.poll_timeout()).flatten();
            match wait(commands, socket, failures, alarm, doorbell, deadline, is_busy).await {
                Wake::Turn => {}
                Wake::Command(command) => {
                    let _step = fork::step();
                    failures.catch(|| command(endpoint, clock::now()));
                }
                Wake::Stop => break,
            }
        }
        let _step = fork::step();
        // What the last commands wanted said goes out before the end.
        self.send();
        let endpoint = &mut self.endpoint;
        self.failures.catch(|| endpoint.close(clock::now()));
        // And what clients are told of it.
        while self.send() {}
        self.tell();
        self.endpoint
    }

    /// Receives, steps, sends, tells: whether there is more to do at once.
    fn turn(&mut self) -> bool {
        let _step = fork::step();
        let is_full = self.receive();
        // Of a new client the game hears before the client hears anything that only clients are sent.
        self.tell();
        let is_behind = self.send();
        self.tell();
        is_full || is_behind
    }

    fn receive(&mut self) -> bool {
        if self.failures.pausing().is_some() {
            return false;
        }
        for _ in 0..RECEIVES_PER_TURN {
            let now = clock::now();
            let Self { socket, endpoint, failures, counters, log, inbox, .. } = self;
            let (wants_packages, recorder) = (log.wants_packages(), inbox.recorder());
            let received = socket.receive(counters, |from, bytes| {
                if wants_packages {
                    log.package("received from", from, bytes);
                }
                if let Some(recorder) = recorder {
                    recorder.package(now, Way::Up, from, bytes);
                }
                // One that brings a panic costs none of those that came with it.
                failures.catch(|| endpoint.handle_datagram(now, from, bytes));
            });
            if !failures.may_receive_more(now, received) {
                return false;
            }
        }
        true
    }

    fn send(&mut self) -> bool {
        let now = clock::now();
        let endpoint = &mut self.endpoint;
        self.failures.catch(|| {
            if endpoint.poll_timeout().is_some_and(|at| at <= now) {
                endpoint.handle_timeout(now);
            }
        });
        let mut sent = 0;
        while sent < SENDS_PER_TURN {
            let (endpoint, outbox) = (&mut self.endpoint, &mut self.outbox);
            let filled = self.failures.catch(|| {
                while outbox.len() < BATCH {
                    let Some(to) = endpoint.poll_transmit(now, outbox.buffer()) else { return false };
                    outbox.seal(to);
                }
                true
            });
            sent += self.outbox.len();
            if self.log.wants_packages() {
                self.outbox.iter().for_each(|(to, bytes)| self.log.package("sent to", to, bytes));
            }
            if let Some(recorder) = self.inbox.recorder() {
                self.outbox.iter().for_each(|(to, bytes)| recorder.package(now, Way::Down, to, bytes));
            }
            self.socket.send(&mut self.outbox, &self.counters);
            match filled {
                Some(true) => {}
                Some(false) => return false,
                None => {
                    // Whatever is due is still due: not at once again.
                    self.failures.pause(now);
                    return false;
                }
            }
        }
        true
    }

    fn tell(&mut self) {
        let Self { endpoint, notices, log, failures, counters, .. } = self;
        failures.catch(|| {
            log.look(clock::now(), || endpoint.troubles(counters.snapshot()));
            while let Some(notice) = endpoint.poll_notice() {
                notices.push(notice);
            }
        });
        self.inbox.append(&mut self.notices);
        let unheard = self.inbox.ends();
        if std::mem::replace(&mut self.unheard, unheard) != unheard {
            self.endpoint.set_unheard(unheard);
        }
    }
}

#[cfg(test)]
#[path = "server/tests.rs"]
mod tests;
