//! When a package goes to the server, and what it says besides events.

use std::time::Duration;

use super::{
    super::{CLIENT_PREFIX, HELLO, SHUTDOWN, datagram_limit, events_per_package},
    ClientAction, ClientConnection, PROBES_AFTER_SHUTDOWN, Pace, Phase, SLOW_INTERVAL,
};
use crate::{
    connection::{Status, TOKEN_EVENT_SIZE, token_event},
    wire::{Body, Header, PackageWriter, Sqn, limits::MAX_DATAGRAM},
};

/// After this long without an answer packages go out at [`SLOW_INTERVAL`] only.
const EAGER: Duration = Duration::from_secs(5);
/// Time between packages to a server that was lost.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);
/// Probes from one port. A lower sequence number from the same port would kill an original server.
const PROBES_PER_PORT: u32 = 3;
/// How long a request for shutdown waits until the server is known to be there.
const SHUTDOWN_WAIT: Duration = Duration::from_secs(1);
/// Copies of the request for shutdown, and the time between them.
const SHUTDOWN_COPIES: (u32, Duration) = (3, Duration::from_millis(50));

impl ClientConnection {
    /// Appends a datagram for the server to `out`, if one is due; call it until it says no, then see to
    /// [`Self::poll_action`] before anything is sent again.
    pub fn poll_transmit(&mut self, now: Duration, out: &mut Vec<u8>) -> bool {
        if self.bell.has_rung() {
            self.bell.take(&mut Vec::new());
            self.hasten(now);
        }
        if now < self.pace.turn {
            return false;
        }
        match self.phase {
            Phase::Idle | Phase::Closed => false,
            Phase::ShuttingDown { since, copies } if copies > 0 || self.server_is_there(now, since) => {
                let (all, gap) = SHUTDOWN_COPIES;
                out.extend_from_slice(SHUTDOWN);
                self.phase = Phase::ShuttingDown { since, copies: copies + 1 };
                self.pace = Pace::from(now + gap);
                if copies + 1 == all {
                    self.close();
                }
                true
            }
            Phase::Running | Phase::SentAway | Phase::ShuttingDown { .. } => self.write_package(now, out),
        }
    }

    fn write_package(&mut self, now: Duration, out: &mut Vec<u8>) -> bool {
        let interval = match self.connection.status() {
            Status::Disconnected => {
                let (interval, most) = match self.phase {
                    Phase::SentAway => (SLOW_INTERVAL, PROBES_AFTER_SHUTDOWN),
                    _ => (PROBE_INTERVAL, PROBES_PER_PORT),
                };
                if self.probes >= most {
                    self.phase = Phase::Running;
                    self.actions.push_back(ClientAction::FreshPort);
                    self.connection.restart(now);
                    self.last_header = Header::default();
                    self.resync();
                    self.server_is_ours = false;
                    self.server_was_ours = false;
                    self.connection.number_events(true);
                    self.greeting = None;
                    self.presented_after = None;
                    self.probes = 0;
                    return false;
                }
                self.probes += 1;
                interval
            }
            Status::Connecting if now.saturating_sub(self.trying_since) > EAGER => SLOW_INTERVAL,
            Status::Connecting | Status::Connected => self.connection.interval(now),
        };
        let mut header =
            Header { sequence: self.connection.local_sequence.next(), ..self.connection.acknowledgement() };
        if header.ack == Sqn::ZERO || self.greeting.is_some() {
            header = Header { ack: Sqn::ZERO, ack_bitfield: HELLO, ..header };
        }
        let token = self.connection.token().filter(|_| self.presented_after.is_some());
        let limit = datagram_limit(
            &self.connection.config,
            self.connection.config.package_size,
            CLIENT_PREFIX + token.map_or(0, |_| 2 + TOKEN_EVENT_SIZE),
            self.connection.next_event_size(),
        );
        let body = Body::Client { time_order: self.replica.time_order() };
        let events = events_per_package(self.server_is_ours);
        let start = out.len();
        // A header and a time order always fit.
        let written = PackageWriter::new(out, header, body).is_ok_and(|mut writer| {
            token.is_none_or(|token| writer.push_event(&token_event(&token), MAX_DATAGRAM))
        });
        self.connection.fill_package(now, header.sequence, limit, events, out, start);
        self.bell_pull.let_go();
        self.pace.advance(now, interval);
        // Of many events some wait for another package.
        self.hasten(now);
        written
    }

    /// Brings the next package forward if a fresh event waits for it.
    fn hasten(&mut self, now: Duration) {
        if self.hurries() && self.pace.hasten(now, self.connection.interval(now)) {
            self.connection.stats.sent_early += 1;
        }
    }

    /// Whether the server has shown that it receives what we send, or we have waited long enough.
    fn server_is_there(&self, now: Duration, since: Duration) -> bool {
        let connected = self.connection.status() == Status::Connected;
        connected && self.connection.stats.acknowledged > 0 || now.saturating_sub(since) >= SHUTDOWN_WAIT
    }
}
