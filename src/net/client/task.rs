//! What drives one client: receives, steps, sends, tells, until its connection is over.

use std::mem;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use tokio::sync::mpsc::Receiver;

use super::{BATCH, lock};
use crate::connection::Status;
use crate::endpoint::{ClientAction, ClientConnection};
use crate::net::clock;
use crate::net::driver::{Alarm, Doorbell, Failures, RECEIVES_PER_TURN, SENDS_PER_TURN, Wake, wait};
use crate::net::fork;
use crate::net::inbox::{ClientNotice, Inbox, Notice};
use crate::net::log::{Log, Troubles};
use crate::net::udp::{self, Counters, Outbox, UdpSocket, add};

/// What a client asks of its task. Whoever does waits until it is over.
#[derive(Debug)]
pub(super) enum Command {
    Disconnect { shut_down_server: bool },
}

/// What a client and its task share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) counters: Arc<Counters>,
    pub(super) remote: Mutex<SocketAddr>,
    pub(super) is_over: Mutex<bool>,
    pub(super) over: Condvar,
}

/// Says that a task is over when it is, however that came about.
pub(super) struct End {
    pub(super) shared: Arc<Shared>,
    pub(super) inbox: Arc<Inbox>,
}

impl Drop for End {
    fn drop(&mut self) {
        self.inbox.push(Notice::Client(ClientNotice::Closed));
        *lock(&self.shared.is_over) = true;
        self.shared.over.notify_all();
    }
}

/// What drives one connection.
pub(super) struct Task {
    pub(super) socket: UdpSocket,
    pub(super) remotes: Vec<SocketAddr>,
    /// Which of `remotes` it is about.
    pub(super) current: usize,
    /// Nothing may be sent before there is a new socket.
    pub(super) needs_port: bool,
    /// How often it was refused when last looked at.
    pub(super) refused: u64,
    pub(super) connection: Arc<Mutex<ClientConnection>>,
    pub(super) commands: Receiver<Command>,
    pub(super) outbox: Outbox,
    pub(super) failures: Failures,
    pub(super) shared: Arc<Shared>,
    pub(super) log: Log,
    pub(super) inbox: Arc<Inbox>,
    /// The last of the fields: dropped when the socket is closed.
    pub(super) _end: End,
}

impl Task {
    pub(super) async fn run(mut self) {
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
