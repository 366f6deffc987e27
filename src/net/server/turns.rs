//! What the thread of a server does over and over: receive, step, send, tell.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::Receiver;

use super::shard::Command;
use crate::endpoint::Bell;
use crate::net::clock;
use crate::net::driver::{Alarm, Doorbell, Failures, RECEIVES_PER_TURN, SENDS_PER_TURN, Wake, wait};
use crate::net::fork;
use crate::net::inbox::{Inbox, Notice};
use crate::net::log::{Log, Troubles};
use crate::net::udp::{BATCH, Counters, Outbox, SocketStats, UdpSocket};
use crate::recording::Way;

/// What the thread of a server drives.
pub(super) trait Endpoint: Send + 'static {
    fn handle_datagram(&mut self, now: Duration, from: SocketAddr, bytes: &[u8]);
    fn handle_timeout(&mut self, now: Duration);
    fn poll_transmit(&mut self, now: Duration, out: &mut Vec<u8>) -> Option<SocketAddr>;
    fn poll_timeout(&self) -> Option<Duration>;
    fn poll_notice(&mut self) -> Option<Notice>;
    /// Rung when something may be due earlier than it said.
    fn bell(&self) -> Arc<Bell> {
        Arc::default()
    }
    /// How many clients that are gone are not known to be: see [`crate::endpoint::ServerEndpoint::set_unheard`].
    fn set_unheard(&mut self, _unheard: usize) {}
    /// What was lost or dropped so far.
    fn troubles(&self, _socket: SocketStats) -> Vec<Troubles> {
        Vec::new()
    }
    /// Ends every session.
    fn close(&mut self, now: Duration);
}

/// What the thread has.
pub(super) struct Driver<E> {
    pub(super) socket: UdpSocket,
    pub(super) endpoint: E,
    pub(super) commands: Receiver<Command<E>>,
    pub(super) outbox: Outbox,
    pub(super) notices: Vec<Notice>,
    /// How many clients were not known to be gone when last looked at.
    pub(super) unheard: usize,
    pub(super) failures: Failures,
    pub(super) alarm: Alarm,
    pub(super) doorbell: Doorbell,
    pub(super) counters: Arc<Counters>,
    pub(super) log: Log,
    pub(super) inbox: Arc<Inbox>,
}

impl<E: Endpoint> Driver<E> {
    pub(super) async fn run(mut self) -> E {
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
