//! Clients: one background thread drives all of the process, a task for each.
//!
//! Owns that thread, its runtime and the connected sockets. A [`ClientConnection`] is shared with the thread of the
//! game; its lock is never held over a call to the system. Nothing but its end ends a task.

mod task;

use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{future, io, mem, process, thread};

use tokio::runtime::{Builder, Handle};
use tokio::sync::mpsc::{self, Sender};

use super::clock;
use super::commands;
use super::driver::Failures;
use super::error::NetError;
use super::inbox::Inbox;
use super::line::Line;
use super::log::Log;
use super::udp::{self, Counters, Outbox, SocketStats, UdpSocket};
use crate::endpoint::ClientConnection;
use task::{Command, End, Shared, Task};

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

    /// Ends the connection at once and waits until its socket is closed. [`ClientNotice::Closed`](super::ClientNotice::Closed) is
    /// the last notice.
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

#[cfg(test)]
#[path = "client/tests.rs"]
mod tests;
