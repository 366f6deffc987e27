//! Whether a package belongs to the session of its address, or its client has started anew there.

use std::time::Duration;

use super::{
    super::{HELLO, admission::Proven, empty_update, reasons::REPLACED},
    ServerConnection,
};
use crate::{
    connection::{Arrival, ReceiveWindow, Status, Token},
    state::Store,
    wire::{Body, Header, Package, Sqn, limits::TARGET_DATAGRAM},
};

/// How far an acknowledged number may lie behind the newest acknowledged before: packages are late by no more than
/// the window. While a large state comes, several go out in an interval.
const MAX_ACK_REGRESS: (i32, i32) = (32, 128);
/// How far a number may jump ahead, at once and per second of silence.
const MAX_JUMP: (f64, f64) = (64.0, 45.0);
/// How long after the beginning of a session packages from before it may still come.
const STRAGGLERS: Duration = Duration::from_secs(3);

/// A client that seems to have started anew on its old port.
#[derive(Clone, Copy, Debug)]
pub(super) struct RestartCandidate {
    /// Newest number sent when it first came: acknowledging a later one is the proof.
    base: Sqn,
    /// It always says that it is one of ours.
    hello: bool,
    /// It came when the client had been lost: no copy of what that said when it first came.
    after_loss: bool,
}

/// Whether a datagram belongs to the session of its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::endpoint) enum Belongs {
    Yes,
    No,
    /// It proves that the client has started anew.
    Restarted,
}

impl ServerConnection {
    /// Whether a package can be part of the session, judged by its header.
    pub(in crate::endpoint) fn belongs(&mut self, now: Duration, package: &Package<'_>) -> Belongs {
        let header = &package.header;
        let local = self.connection.local_sequence;
        let lost = self.connection.status() == Status::Disconnected;
        if header.ack == Sqn::ZERO {
            let young = now.saturating_sub(self.began) < STRAGGLERS;
            if young && self.connection.received.classify(header.sequence) == Arrival::Older {
                return Belongs::No;
            }
            // A client that acknowledges nothing has started anew, or is a fresh one.
            let fresh = RestartCandidate { base: local, hello: true, after_loss: false };
            let candidate = self.restart_candidate.get_or_insert(fresh);
            candidate.hello &= header.ack_bitfield == HELLO;
            candidate.after_loss |= lost;
            return Belongs::No;
        }
        let (usual, in_bulk) = MAX_ACK_REGRESS;
        let regress = if self.bursts { in_bulk } else { usual };
        let oldest = self.newest_ack.unwrap_or(header.ack);
        if local.since(header.ack) < 0 || oldest.since(header.ack) > regress {
            return Belongs::No;
        }
        let ahead = header.sequence.since(self.connection.received.newest);
        let (at_once, per_second) = MAX_JUMP;
        let plausible = f64::from(ahead) <= at_once + per_second * self.connection.silence(now).as_secs_f64();
        let fits = plausible
            && matches!(self.connection.received.classify(header.sequence), Arrival::Newest | Arrival::Older);
        match self.restart_candidate {
            // A package of the session before would either be news to it, or acknowledge nothing so new.
            Some(RestartCandidate { base, after_loss, .. })
                if header.ack.newer_than(base) && (!fits || lost && after_loss) =>
            {
                Belongs::Restarted
            }
            _ if plausible => Belongs::Yes,
            _ => Belongs::No,
        }
    }

    /// Begins anew with a client that has, under the same address. Numbers to it go on as they were.
    pub(in crate::endpoint) fn begin_anew(
        &mut self,
        now: Duration,
        token: Token,
        time_order: Sqn,
        store: &Store,
    ) {
        if self.connection.status() == Status::Connected {
            self.connection.end_session(REPLACED);
            self.lose_client();
        }
        let proven = Proven {
            local_sequence: self.connection.local_sequence,
            window: ReceiveWindow::default(),
            time_order,
            hello: self.restart_candidate.is_some_and(|candidate| candidate.hello),
            returning: true,
            event_base: 0,
            arrivals: None,
            held: Vec::new(),
        };
        self.begin(now, proven, token, store);
    }

    /// Appends an answer to a client that acknowledges nothing and reports `time_order`, if nothing else is
    /// sent to it any more: only with a number to acknowledge can it prove that it has started anew. Changes
    /// nothing at the client and is at most three times as long as what it answers.
    pub(in crate::endpoint) fn answer_candidate(
        &mut self,
        now: Duration,
        time_order: Sqn,
        out: &mut Vec<u8>,
    ) {
        let Some(candidate) = self.restart_candidate else { return };
        if self.view.is_none() || self.connection.status() != Status::Disconnected {
            return;
        }
        let header = Header {
            sequence: self.connection.local_sequence.next(),
            ack: Sqn::ZERO,
            ack_bitfield: if candidate.hello { HELLO } else { 0 },
        };
        let update = empty_update(time_order);
        let body = Body::Server { update: &update };
        // An update of its time order alone always fits.
        let _ = self.connection.write_package_with(now, header, body, TARGET_DATAGRAM, 0, out);
    }
}
