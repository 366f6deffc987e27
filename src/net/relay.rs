//! A relay that puts clients behind a bad line: real sockets on both sides, [`crate::netsim`] between them.
//!
//! Knows addresses and bytes, and of what they mean only the header, which it watches for whoever asks. Each client has a line of its own, a socket towards the
//! server included, so that the server can tell them apart. What becomes of the nth datagram of a direction depends
//! on the seed and the order in which clients came, not on the time it takes.

use std::{
    cell::{Cell, RefCell},
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    io,
    net::SocketAddr,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use tokio::{
    net::UdpSocket,
    runtime::Builder,
    sync::Notify,
    task::LocalSet,
    time::{Instant, sleep, timeout_at},
};

pub use self::watch::Passage;
use self::watch::Watch;
use super::{
    clock,
    error::NetError,
    recorder::Recorder,
    udp,
    worker::{Shared, Worker},
};
use crate::{
    netsim::{Conditions, Fates, Link},
    recording::Way,
    wire::Header,
};

mod watch;

/// The most clients at a time: a bound for memory and open files. What others send is not relayed.
const MAX_LINES: usize = 1000;
/// The most datagrams on their way at a time, for the same reason.
const MAX_IN_TRANSIT: usize = 100_000;
/// A line that carries nothing for this long makes room.
const IDLE: Duration = Duration::from_secs(60);
/// How often the relay publishes its report and notices that it is to stop.
const PUBLISH: Duration = Duration::from_millis(100);
/// After an error of a socket, so that one that lasts takes no processor.
const PAUSE: Duration = Duration::from_millis(1);
/// Longer than any datagram of the protocol, so that foreign ones are relayed whole, too.
const BUFFER: usize = 65_536;

/// What a relay has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RelayReport {
    /// Clients that have a line now.
    pub clients: usize,
    /// What became of what clients sent.
    pub up: Fates,
    /// What became of what the server sent.
    pub down: Fates,
    /// Datagrams that found too many clients or too many datagrams before them.
    pub refused: u64,
    /// Datagrams that nobody took: the server does not listen, or the system had no room.
    pub unsent: u64,
}

/// What one client and the server said to each other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LineReport {
    /// The client.
    pub client: SocketAddr,
    /// To the server.
    pub up: Passage,
    /// To the client.
    pub down: Passage,
}

/// All of it, as it is published.
type Published = (RelayReport, Vec<LineReport>);

/// A relay that is on until it is stopped or dropped.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    worker: Worker<Published>,
}

impl Relay {
    /// Relays between whoever sends to `listen` and the server `upstream`, in a thread of its own. The conditions
    /// are those of each direction. What comes in on either side is recorded, if there is a recorder.
    pub fn start(
        listen: (&str, u16),
        upstream: (&str, u16),
        conditions: Conditions,
        seed: u64,
        recorder: Option<Arc<Recorder>>,
    ) -> Result<Self, NetError> {
        let (host, port) = upstream;
        let failed = |source| NetError::Io { action: "relay to", host: host.to_owned(), port, source };
        let remote = udp::resolve(host, port)?.into_iter().map(udp::reachable).next();
        let remote = remote.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
        let socket = udp::bind(listen.0, listen.1)?;
        let address = socket.local_addr().map_err(failed)?;
        let lines = move |front| Lines::new(front, remote, conditions, seed, recorder);
        let work = move |shared: &Shared<Published>| run(socket, lines, shared);
        Ok(Self { address, worker: Worker::start("pygase-relay", work).map_err(failed)? })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it has done so far, at most a tenth of a second ago.
    pub fn report(&self) -> RelayReport {
        self.worker.report().0
    }

    /// What the clients that have a line now and the server said to each other.
    pub fn lines(&self) -> Vec<LineReport> {
        self.worker.report().1
    }

    /// Whether its thread has ended: it was stopped, or the system took the socket away.
    pub fn is_over(&self) -> bool {
        self.worker.is_over()
    }

    /// Ends it. What is still on its way is lost.
    pub fn stop(&self) {
        self.worker.stop();
    }
}

/// The thread: relays until told to stop.
fn run(socket: std::net::UdpSocket, lines: impl FnOnce(UdpSocket) -> Lines, shared: &Shared<Published>) {
    let Ok(runtime) = Builder::new_current_thread().enable_all().build() else { return };
    LocalSet::new().block_on(&runtime, async {
        let Ok(front) = UdpSocket::from_std(socket) else { return };
        let lines = Rc::new(lines(front));
        tokio::task::spawn_local(Rc::clone(&lines).accept());
        let mut publish = clock::now();
        while !shared.is_stopped() {
            let now = clock::now();
            lines.deliver(now);
            if now >= publish {
                lines.expire(now);
                shared.publish(|published| *published = lines.report());
                publish = now + PUBLISH;
            }
            let next = lines.next_arrival().map_or(publish, |at| at.min(publish));
            // Earlier if something is sent that arrives before.
            let _ = timeout_at(Instant::from_std(clock::instant(next)), lines.sent.notified()).await;
        }
        lines.deliver(clock::now());
        shared.publish(|published| *published = lines.report());
    });
}

/// A datagram on its way: when it arrives, and the order of sending, so that equal times keep it.
type InTransit = (Duration, u64, Way, SocketAddr, Vec<u8>);

/// What lies between one client and the server.
struct Line {
    back: Rc<UdpSocket>,
    up: Link,
    down: Link,
    watched_up: Watch,
    watched_down: Watch,
    used: Duration,
    reader: tokio::task::AbortHandle,
}

/// All lines, and what is on its way on them.
struct Lines {
    front: UdpSocket,
    remote: SocketAddr,
    conditions: Conditions,
    random: RefCell<fastrand::Rng>,
    clients: RefCell<HashMap<SocketAddr, Line>>,
    in_transit: RefCell<BinaryHeap<Reverse<InTransit>>>,
    number: Cell<u64>,
    /// Up, down, refused and unsent, of lines that are gone and of all lines.
    report: Cell<RelayReport>,
    sent: Notify,
    recorder: Option<Arc<Recorder>>,
}

impl Lines {
    fn new(
        front: UdpSocket,
        remote: SocketAddr,
        conditions: Conditions,
        seed: u64,
        recorder: Option<Arc<Recorder>>,
    ) -> Self {
        Self {
            front,
            remote,
            conditions,
            random: RefCell::new(fastrand::Rng::with_seed(seed)),
            clients: RefCell::default(),
            in_transit: RefCell::default(),
            number: Cell::default(),
            report: Cell::default(),
            sent: Notify::new(),
            recorder,
        }
    }

    /// Takes what clients send.
    async fn accept(self: Rc<Self>) {
        let mut datagram = vec![0; BUFFER];
        loop {
            match self.front.recv_from(&mut datagram).await {
                Ok((size, client)) => {
                    let open = self.clients.borrow().contains_key(&client) || self.open(client);
                    if open {
                        self.send(Way::Up, client, datagram.get(..size).unwrap_or_default());
                    } else {
                        self.count(|report| report.refused += 1);
                    }
                }
                // The answer to something delivered to a client that has gone.
                Err(_) => sleep(PAUSE).await,
            }
        }
    }

    /// Opens a line for a client; false if there is no room for it.
    fn open(self: &Rc<Self>, client: SocketAddr) -> bool {
        if self.clients.borrow().len() >= MAX_LINES {
            return false;
        }
        let Ok(back) = udp::connect(self.remote).and_then(UdpSocket::from_std) else { return false };
        let back = Rc::new(back);
        let reader = tokio::task::spawn_local(Rc::clone(self).read(client, Rc::clone(&back))).abort_handle();
        let mut random = self.random.borrow_mut();
        let mut link = || Link::new(random.u64(..), self.conditions);
        let line = Line {
            back,
            up: link(),
            down: link(),
            watched_up: Watch::default(),
            watched_down: Watch::default(),
            used: clock::now(),
            reader,
        };
        self.clients.borrow_mut().insert(client, line);
        true
    }

    /// Takes what the server sends to one client.
    async fn read(self: Rc<Self>, client: SocketAddr, back: Rc<UdpSocket>) {
        let mut datagram = vec![0; BUFFER];
        loop {
            if let Ok(size) = back.recv(&mut datagram).await {
                self.send(Way::Down, client, datagram.get(..size).unwrap_or_default());
            } else {
                // The server does not listen.
                self.count(|report| report.unsent += 1);
                sleep(PAUSE).await;
            }
        }
    }

    /// Sends a datagram on its way.
    fn send(&self, way: Way, client: SocketAddr, bytes: &[u8]) {
        let now = clock::now();
        if let Some(recorder) = &self.recorder {
            recorder.package(now, way, client, bytes);
        }
        let in_transit = &mut *self.in_transit.borrow_mut();
        if in_transit.len() >= MAX_IN_TRANSIT {
            self.count(|report| report.refused += 1);
            return;
        }
        let mut lines = self.clients.borrow_mut();
        let Some(line) = lines.get_mut(&client) else { return };
        line.used = now;
        if let Ok((header, _)) = Header::decode(bytes) {
            let watches = (&mut line.watched_up, &mut line.watched_down);
            let (own, other) = if way == Way::Up { watches } else { (watches.1, watches.0) };
            own.pass(now, header, bytes.len());
            other.answered(now, header);
        }
        let link = if way == Way::Up { &mut line.up } else { &mut line.down };
        link.send(now, bytes, |at, bytes| {
            self.number.set(self.number.get() + 1);
            in_transit.push(Reverse((at, self.number.get(), way, client, bytes)));
        });
        self.sent.notify_one();
    }

    /// Delivers what has arrived by `now`.
    fn deliver(&self, now: Duration) {
        let mut in_transit = self.in_transit.borrow_mut();
        let lines = self.clients.borrow();
        while in_transit.peek().is_some_and(|Reverse((at, ..))| *at <= now) {
            let Some(Reverse((_, _, way, client, bytes))) = in_transit.pop() else { return };
            let delivered = match way {
                Way::Up => lines.get(&client).is_some_and(|line| line.back.try_send(&bytes).is_ok()),
                Way::Down => self.front.try_send_to(&bytes, client).is_ok(),
            };
            if !delivered {
                self.count(|report| report.unsent += 1);
            }
        }
    }

    fn next_arrival(&self) -> Option<Duration> {
        self.in_transit.borrow().peek().map(|Reverse((at, ..))| *at)
    }

    /// Closes the lines that carry nothing any more, and keeps their counts.
    fn expire(&self, now: Duration) {
        self.clients.borrow_mut().retain(|_, line| {
            let used = now.saturating_sub(line.used) < IDLE;
            if !used {
                line.reader.abort();
                self.count(|report| {
                    report.up += line.up.fates;
                    report.down += line.down.fates;
                });
            }
            used
        });
    }

    fn count(&self, change: impl FnOnce(&mut RelayReport)) {
        let mut report = self.report.get();
        change(&mut report);
        self.report.set(report);
    }

    /// What was done so far, on lines that are gone too.
    fn report(&self) -> Published {
        let lines = self.clients.borrow();
        let mut report = RelayReport { clients: lines.len(), ..self.report.get() };
        let mut watched = Vec::with_capacity(lines.len());
        for (&client, line) in lines.iter() {
            report.up += line.up.fates;
            report.down += line.down.fates;
            watched.push(LineReport { client, up: line.watched_up.passage, down: line.watched_down.passage });
        }
        (report, watched)
    }
}

#[cfg(test)]
#[path = "relay/tests.rs"]
mod tests;
