//! The thread of a server: how it starts, is asked, and stops.

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc as sync_mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use std::{io, mem, process};

use tokio::runtime::Builder;
use tokio::sync::mpsc::{self, Sender};

use super::turns::{Driver, Endpoint};
use crate::net::commands;
use crate::net::driver::{Alarm, Doorbell, Failures, message};
use crate::net::inbox::{Inbox, Notice};
use crate::net::line::Line;
use crate::net::log::Log;
use crate::net::udp::{BATCH, Counters, Outbox, UdpSocket};

/// How many commands may wait for a thread; who has another waits for room.
const MAX_COMMANDS: usize = 64;

/// Something to be done in the thread of a server, between two turns. They come from this process alone.
pub(super) type Command<E> = Box<dyn FnOnce(&mut E, Duration) + Send>;

/// A thread that drives an endpoint.
#[derive(Debug)]
pub(super) struct Shard<E> {
    pub(super) address: SocketAddr,
    pub(super) counters: Arc<Counters>,
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
    pub(super) fn start(
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
    pub(super) fn call(&self, command: impl FnOnce(&mut E, Duration) + Send + 'static) -> bool {
        match &*self.lock() {
            State::Running { commands, .. } if process::id() == self.process => {
                commands::send(commands, Box::new(command))
            }
            State::Running { .. } | State::Stopped(_) => false,
        }
    }

    /// Asks the endpoint something, in its thread while it runs; None if it did not answer within a second.
    pub(super) fn query<T: Send + 'static>(
        &self,
        question: impl FnOnce(&E) -> T + Send + 'static,
    ) -> Option<T> {
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
    pub(super) fn stop(&self) {
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
