//! Clients: one background thread drives all of the process, a task for each.
//!
//! Owns that thread, its runtime and the connected sockets. A [`ClientConnection`] is shared with the thread of the
//! game; its lock is never held over a call to the system. Nothing but its end ends a task.

use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{future, io, mem, process, thread};

use tokio::runtime::{Builder, Handle};
use tokio::sync::mpsc::{self, Receiver, Sender};

use super::clock;
use super::commands;
use super::driver::{Alarm, Doorbell, Failures, RECEIVES_PER_TURN, SENDS_PER_TURN, Wake, wait};
use super::error::NetError;
use super::fork;
use super::inbox::{ClientNotice, Inbox, Notice};
use super::line::Line;
use super::log::{Log, Troubles};
use super::udp::{self, Counters, Outbox, SocketStats, UdpSocket, add};
use crate::connection::Status;
use crate::endpoint::{ClientAction, ClientConnection};

/// How many datagrams a client receives at once: its server sends one at a time, in bulk a few.
const BATCH: usize = 8;
/// How long a task that was told to end may take; it only has to have a turn.
const END: Duration = Duration::from_secs(1);

/// The runtime of all clients, and the process it belongs to: the child of a fork has the handle, but not the thread.
static RUNTIME: Mutex<Option<(u32, Handle)>> = Mutex::new(None);

/// The runtime of this process's clients; its thread is started with the first and stays.
fn runtime() -> io::Result<Handle> {
    let mut runtime = lock(&RUNTIME);
    if let Some((process, handle)) = &*runtime
        && *process == process::id()
    {
        return Ok(handle.clone());
    }
    // The parent's is the parent's: letting go of it here would wake the parent.
    mem::forget(runtime.take());
    let fresh = Builder::new_current_thread().enable_io().enable_time().build()?;
    let handle = fresh.handle().clone();
    thread::Builder::new()
        .name("pygase-clients".into())
        .spawn(move || fresh.block_on(future::pending::<()>()))?;
    *runtime = Some((process::id(), handle.clone()));
    Ok(handle)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic with the lock held is caught, counted and reported where it happens; the loop goes on.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many commands may wait for a task; who has another waits for room.
const MAX_COMMANDS: usize = 4;

/// What a client asks of its task. Whoever does waits until it is over.
#[derive(Debug)]
enum Command {
    Disconnect { shut_down_server: bool },
}

/// What a client and its task share.
#[derive(Debug)]
struct Shared {
    counters: Arc<Counters>,
    remote: Mutex<SocketAddr>,
    is_over: Mutex<bool>,
    over: Condvar,
}

/// A connection that is driven, from [`UdpClient::start`] to [`UdpClient::disconnect`] or [`UdpClient::stop`] (or until
/// it is dropped).
#[derive(Debug)]
pub struct UdpClient {
    shared: Arc<Shared>,
    process: u32,
    /// Dropping it ends the task.
    commands: Mutex<Option<Sender<Command>>>,
}

impl UdpClient {
    /// Connects `connection` to `host`:`port` and goes on trying until told otherwise. What happens goes into `inbox`.
    ///
    /// Of several addresses the first is tried first, IPv4 before IPv6; one that refuses gives way to the next as long
    /// as no answer has come.
    pub fn start(
        host: &str,
        port: u16,
        connection: Arc<Mutex<ClientConnection>>,
        inbox: Arc<Inbox>,
    ) -> Result<Self, NetError> {
        Self::start_behind(None, host, port, connection, inbox)
    }

    /// The same from the end of a line.
    pub fn start_behind(
        line: Option<Line>,
        host: &str,
        port: u16,
        connection: Arc<Mutex<ClientConnection>>,
        inbox: Arc<Inbox>,
    ) -> Result<Self, NetError> {
        if port == 0 {
            let source = io::Error::new(io::ErrorKind::InvalidInput, "a server has a port from 1 to 65535");
            return Err(NetError::Io { action: "connect to", host: host.to_owned(), port, source });
        }
        let remotes = udp::resolve(host, port)?.into_iter().map(udp::reachable).collect();
        Self::start_at(remotes, line, host, port, connection, inbox)
    }

    /// Connects to the first of `remotes`, which are what `host`:`port` stands for.
    fn start_at(
        remotes: Vec<SocketAddr>,
        line: Option<Line>,
        host: &str,
        port: u16,
        connection: Arc<Mutex<ClientConnection>>,
        inbox: Arc<Inbox>,
    ) -> Result<Self, NetError> {
        let failed = |action| move |source| NetError::Io { action, host: host.to_owned(), port, source };
        let runtime = runtime().map_err(failed("start a thread for"))?;
        let (socket, current) = connect_first(&remotes).map_err(failed("connect to"))?;
        let remote = socket.peer_addr().map_err(failed("connect to"))?;
        let socket = {
            let _inside = runtime.enter();
            UdpSocket::adopt(socket, BATCH).map_err(failed("connect to"))?.behind(line)
        };
        let counters = Arc::new(Counters::default());
        let shared = Arc::new(Shared {
            counters: Arc::clone(&counters),
            remote: Mutex::new(remote),
            is_over: Mutex::new(false),
            over: Condvar::new(),
        });
        let (commands, receiver) = mpsc::channel(MAX_COMMANDS);
        lock(&connection).connect(clock::now());
        let end = End { shared: Arc::clone(&shared), inbox: Arc::clone(&inbox) };
        let failures = Failures::new(counters, Arc::clone(&inbox));
        let task = Task {
            socket,
            remotes,
            current,
            needs_port: false,
            refused: 0,
            connection,
            commands: receiver,
            outbox: Outbox::default(),
            failures,
            shared: Arc::clone(&shared),
            log: Log::new(Arc::clone(&inbox)),
            inbox,
            _end: end,
        };
        runtime.spawn(task.run());
        Ok(Self { shared, process: process::id(), commands: Mutex::new(Some(commands)) })
    }

    /// The address of the server that is connected to, or tried at present.
    pub fn remote_addr(&self) -> SocketAddr {
        *lock(&self.shared.remote)
    }

    /// What its sockets went through.
    pub fn stats(&self) -> SocketStats {
        self.shared.counters.snapshot()
    }

    /// Whether it has ended.
    pub fn is_over(&self) -> bool {
        *lock(&self.shared.is_over)
    }

    /// Ends the connection as [`ClientConnection::disconnect`] does and waits for the end, at most for `timeout`; then it
    /// is stopped all the same. Whether it ended in time.
    pub fn disconnect(&self, shut_down_server: bool, timeout: Duration) -> bool {
        if let Some(commands) = &*lock(&self.commands)
            && self.process == process::id()
        {
            // If nobody takes it, it has ended.
            let _ = commands::send(commands, Command::Disconnect { shut_down_server });
        }
        let in_time = self.process != process::id() || self.wait_over(timeout);
        self.stop();
        in_time
    }

    /// Ends the connection at once and waits until its socket is closed. [`ClientNotice::Closed`] is the last notice.
    pub fn stop(&self) {
        let commands = lock(&self.commands).take();
        if process::id() != self.process {
            // The task is the parent's, and so is what the channel would wake.
            mem::forget(commands);
            return;
        }
        drop(commands);
        self.wait_over(END);
    }

    fn wait_over(&self, timeout: Duration) -> bool {
        let is_over = lock(&self.shared.is_over);
        let waited = self.shared.over.wait_timeout_while(is_over, timeout, |is_over| !*is_over);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

impl Drop for UdpClient {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A socket connected to the first of `remotes` that there is a way to, and which that is.
fn connect_first(remotes: &[SocketAddr]) -> io::Result<(std::net::UdpSocket, usize)> {
    let mut error = None;
    for (index, remote) in remotes.iter().enumerate() {
        match udp::connect(*remote) {
            Ok(socket) => return Ok((socket, index)),
            Err(e) => error = error.or(Some(e)),
        }
    }
    Err(error.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into()))
}

/// Says that a task is over when it is, however that came about.
struct End {
    shared: Arc<Shared>,
    inbox: Arc<Inbox>,
}

impl Drop for End {
    fn drop(&mut self) {
        self.inbox.push(Notice::Client(ClientNotice::Closed));
        *lock(&self.shared.is_over) = true;
        self.shared.over.notify_all();
    }
}

/// What drives one connection.
struct Task {
    socket: UdpSocket,
    remotes: Vec<SocketAddr>,
    /// Which of `remotes` it is about.
    current: usize,
    /// Nothing may be sent before there is a new socket.
    needs_port: bool,
    /// How often it was refused when last looked at.
    refused: u64,
    connection: Arc<Mutex<ClientConnection>>,
    commands: Receiver<Command>,
    outbox: Outbox,
    failures: Failures,
    shared: Arc<Shared>,
    log: Log,
    inbox: Arc<Inbox>,
    /// The last of the fields: dropped when the socket is closed.
    _end: End,
}

impl Task {
    async fn run(mut self) {
        let mut alarm = Alarm::new();
        let mut doorbell = Doorbell::of(lock(&self.connection).bell());
        loop {
            let Some((is_busy, deadline)) = self.turn() else { return };
            let Self { socket, commands, failures, .. } = &mut self;
            match wait(commands, socket, failures, &mut alarm, &mut doorbell, deadline, is_busy).await {
                Wake::Turn => {}
                Wake::Command(Command::Disconnect { shut_down_server }) => self.disconnect(shut_down_server),
                Wake::Stop => {
                    self.disconnect(false);
                    let _step = fork::step();
                    self.tell();
                    return;
                }
            }
        }
    }

    /// Receives, steps, sends, tells: whether there is more to do at once, and when there is otherwise. None when it
    /// is over.
    fn turn(&mut self) -> Option<(bool, Option<Duration>)> {
        let _step = fork::step();
        let is_busy = self.receive() | self.send();
        self.tell();
        let Self { failures, connection, .. } = self;
        if lock(connection).is_closed() {
            return None;
        }
        Some((is_busy, failures.catch(|| lock(connection).poll_timeout()).flatten()))
    }

    fn disconnect(&mut self, shut_down_server: bool) {
        let _step = fork::step();
        let connection = &self.connection;
        self.failures.catch(|| lock(connection).disconnect(clock::now(), shut_down_server));
    }

    /// Takes in what is there: whether there is more.
    fn receive(&mut self) -> bool {
        if self.failures.pausing().is_some() {
            return false;
        }
        for _ in 0..RECEIVES_PER_TURN {
            let now = clock::now();
            let Self { socket, connection, shared, failures, log, .. } = self;
            let wants_packages = log.wants_packages();
            let received = socket.receive(&shared.counters, |from, bytes| {
                if wants_packages {
                    log.package("received from", from, bytes);
                }
                // Locked when the call to the system is over.
                failures.catch(|| lock(connection).handle_datagram(now, bytes));
            });
            if !failures.may_receive_more(now, received) {
                return false;
            }
        }
        true
    }

    /// Sends what is due and does what the connection asks for: whether there is more.
    fn send(&mut self) -> bool {
        for _ in 0..SENDS_PER_TURN / BATCH {
            if self.needs_port && !self.connect() {
                return false;
            }
            let Some(step) = self.step() else {
                // Whatever is due is still due: not at once again.
                self.outbox.clear();
                self.failures.pause(clock::now());
                return false;
            };
            if self.log.wants_packages() {
                self.outbox.iter().for_each(|(to, bytes)| self.log.package("sent to", to, bytes));
            }
            self.socket.send_connected(&mut self.outbox, &self.shared.counters);
            self.needs_port = step.fresh_port;
            if step.unanswered {
                self.inbox.push(Notice::Client(ClientNotice::Unanswered));
            }
            if self.is_refused() || step.unanswered {
                self.try_next_address();
            }
            if step.is_done && !self.needs_port {
                return false;
            }
        }
        true
    }

    /// Lets the connection act; what it wants sent is in the outbox after. None if it panicked.
    fn step(&mut self) -> Option<Step> {
        let Self { connection, outbox, failures, .. } = self;
        let to = *lock(&self.shared.remote);
        failures.catch(|| {
            let now = clock::now();
            let mut connection = lock(connection);
            if connection.poll_timeout().is_some_and(|at| at <= now) {
                connection.handle_timeout(now);
            }
            while outbox.len() < BATCH {
                if !connection.poll_transmit(now, outbox.buffer()) {
                    break;
                }
                outbox.seal(to);
            }
            let mut step = Step { is_done: outbox.len() < BATCH, ..Step::default() };
            while let Some(action) = connection.poll_action() {
                match action {
                    ClientAction::FreshPort => step.fresh_port = true,
                    ClientAction::Unanswered => step.unanswered = true,
                    // Seen by the loop when everything is sent.
                    ClientAction::Closed => {}
                }
            }
            step
        })
    }

    /// Whether the server's address has refused since this was last asked.
    fn is_refused(&mut self) -> bool {
        let refused = self.shared.counters.snapshot().refused;
        mem::replace(&mut self.refused, refused) < refused
    }

    /// Turns to the next of several addresses, while none has answered.
    fn try_next_address(&mut self) {
        if self.remotes.len() > 1 && self.shared.counters.snapshot().datagrams_received == 0 {
            self.current = (self.current + 1) % self.remotes.len();
            self.needs_port = true;
        }
    }

    /// Goes on from a new port. If there is none to be had, nothing must be sent from the old one: an original server
    /// would take it for the session that it knows. It is tried again after a pause.
    fn connect(&mut self) -> bool {
        let Some(remote) = self.remotes.get(self.current).copied() else { return false };
        if udp::connect(remote).and_then(|socket| self.socket.replace(socket)).is_ok() {
            *lock(&self.shared.remote) = remote;
            self.needs_port = false;
        } else {
            add(&self.shared.counters.connect_failed, 1);
            self.failures.pause(clock::now());
        }
        !self.needs_port
    }

    fn tell(&mut self) {
        let (has_event, status, stats) = {
            let connection = lock(&self.connection);
            let connection = connection.connection();
            (connection.has_event(), connection.status(), connection.stats)
        };
        let troubles = || {
            let totals = stats.dropped().chain(self.shared.counters.snapshot().dropped()).collect();
            Troubles { peer: Some(*lock(&self.shared.remote)), totals }
        };
        if status == Status::Connecting {
            // Nothing has answered yet, and that is said elsewhere.
            self.log.pass_over(&troubles());
        } else {
            self.log.look(clock::now(), || vec![troubles()]);
        }
        if has_event {
            self.inbox.push(Notice::Client(ClientNotice::Ready));
        }
    }
}

/// What a connection wants done besides sending.
#[derive(Clone, Copy, Debug, Default)]
struct Step {
    /// It has nothing more to send.
    is_done: bool,
    fresh_port: bool,
    unanswered: bool,
}

#[cfg(test)]
#[path = "client/tests.rs"]
mod tests;
