//! What a package of the server means: which session and which copy of the state it belongs to.

use std::time::Duration;

use super::{
    super::{HELLO, admission, reasons::SHUT_DOWN},
    ClientConnection, Greeting, PROBES_AFTER_SHUTDOWN, Pace, Phase, SLOW_INTERVAL,
};
use crate::{
    connection::{Receipt, Status},
    wire::{Body, Header, Kind, Package, Sqn},
};

/// After this long without a package the game state is asked for as a whole.
const RESYNC_AFTER: Duration = Duration::from_secs(1);
/// A server whose numbers leap this far has not sent what lies between: another one has taken its place, and what
/// our copy of the state has may be gone there.
const LEAP: i32 = admission::LEAP as i32;
/// With how many packages that do not answer it a client leaves off saying hello again. An original acknowledges it
/// without an answer, and ends it so within a round trip.
const GREETING: u32 = 120;
/// This many packages after the state was asked for as a whole, nothing made before can still arrive.
const STRAGGLERS: i32 = 1000;
/// The size of an update with nothing in it.
const EMPTY_UPDATE: usize = 17;
/// How long a client that was sent away for another reason stays away.
const REST: Duration = Duration::from_secs(5);

impl ClientConnection {
    /// Takes in a datagram from the server's address.
    pub fn handle_datagram(&mut self, now: Duration, datagram: &[u8]) {
        if matches!(self.phase, Phase::Idle | Phase::Closed) {
            return;
        }
        self.connection.stats.bytes_received += datagram.len() as u64;
        let Some(mut package) = self.read(datagram) else { return };
        let ack = package.header.ack;
        if self.is_unsent(ack) {
            // The server still speaks to whoever had this port before. Answering it sets that right.
            package.header = Header { sequence: package.header.sequence, ..Header::default() };
        }
        let first = self.is_first();
        let says_hello = self.hear_hello(&mut package.header, ack);
        let is_answer = says_hello && (first || self.greeting.is_some());
        if self.server_is_ours && self.is_too_late(&package) {
            // Not acknowledged: the server takes what is acknowledged for merged.
            self.connection.stats.late += 1;
            return;
        }
        let leap = package.header.sequence.since(self.connection.received.newest);
        let forgot = leap > 0 && !says_hello && self.has_forgotten(package.header);
        let is_another = !first && (leap >= LEAP || forgot);
        // Whoever holds nothing and was merely not heard of has asked already.
        let silent = self.connection.silence(now) > RESYNC_AFTER && self.replica.time_order() != Sqn::ZERO;
        self.connection.number_events(self.server_is_ours);
        let receipt = self.connection.receive(now, &package);
        if is_answer {
            self.greeting = None;
            // From now on each package acknowledges something, and any may be the one that proves our address.
            self.presented_after = self.connection.token().map(|_| self.connection.local_sequence);
        }
        if receipt == Receipt::Dropped {
            return;
        }
        if let Some(reason) = self.connection.take_farewell() {
            self.leave(now, &reason);
            return;
        }
        if self.presented_after.is_some_and(|after| ack != Sqn::ZERO && ack.newer_than(after)) {
            self.presented_after = None;
        }
        if is_another && !says_hello && self.server_is_ours {
            let first = self.connection.local_sequence.next();
            self.greeting.get_or_insert(Greeting { first, left: GREETING });
        }
        if leap > 0 {
            self.last_header = if says_hello { Header::default() } else { package.header };
        }
        self.probes = 0;
        if silent || is_another {
            self.resync();
        }
        if first || silent || is_another || is_answer {
            // What we send next proves our address or asks for the state: the sooner, the sooner it comes.
            self.pace.turn = now;
        }
        if receipt != Receipt::Refused {
            self.take_state(now, receipt, &package);
        }
    }

    /// The package in a datagram, if it can be one of the session; what cannot is counted.
    fn read<'a>(&mut self, datagram: &'a [u8]) -> Option<Package<'a>> {
        let is_good = |package: &Package<'_>| {
            package.header.sequence != Sqn::ZERO && self.connection.config.takes(package)
        };
        let Some(package) = Package::decode(Kind::Server, datagram).ok().filter(is_good) else {
            self.connection.stats.malformed += 1;
            return None;
        };
        if self.is_unsent(package.header.ack) && !self.is_first() {
            self.connection.stats.implausible += 1;
            return None;
        }
        if self.is_over_for(package.header.sequence) {
            // That the session is over is said three times: a copy of what was heard is nothing that was lost.
            let is_copy = package.header.sequence == self.connection.received.newest;
            self.connection.stats.late += u64::from(!is_copy);
            return None;
        }
        Some(package)
    }

    /// Whether nothing was received so far.
    fn is_first(&self) -> bool {
        self.connection.received.newest == Sqn::ZERO
    }

    /// Whether a number that is acknowledged was never sent.
    fn is_unsent(&self, ack: Sqn) -> bool {
        ack != Sqn::ZERO && ack.newer_than(self.connection.local_sequence)
    }

    /// Takes a hello out of a header: whether there was one. Where there was none for long enough, the server is an
    /// original.
    fn hear_hello(&mut self, header: &mut Header, ack: Sqn) -> bool {
        let may_say_hello = self.is_first() || self.server_is_ours || self.server_was_ours;
        if header.ack_bitfield == HELLO && may_say_hello {
            self.server_is_ours = true;
            header.ack_bitfield = 0;
            return true;
        }
        if let Some(greeting) = &mut self.greeting {
            greeting.left = greeting.left.saturating_sub(1);
            if greeting.left == 0 || ack != Sqn::ZERO && ack.since(greeting.first) >= 0 {
                self.end_greeting();
            }
        }
        false
    }

    /// Merges the update of a package, unless it belongs to a copy that was given up or something newer has overtaken it.
    fn take_state(&mut self, now: Duration, receipt: Receipt, package: &Package<'_>) {
        if self.is_from_before(package.header) {
            return;
        }
        self.asked_after.take_if(|asked_after| package.header.ack.since(*asked_after) > STRAGGLERS);
        let Body::Server { update } = package.body else { return };
        if receipt == Receipt::Older && self.has_overtaken(package.header, update) {
            return;
        }
        match self.replica.apply(update) {
            Ok(true) => {
                self.state_at = now;
                self.merged = Some(package.header.sequence);
            }
            Ok(false) => {}
            Err(_) => self.connection.stats.malformed += 1,
        }
    }

    /// Takes in a package that somebody else received, by hand: every one of a new number counts.
    pub fn receive_by_hand(&mut self, now: Duration, package: &Package<'_>) -> Receipt {
        let receipt = self.connection.receive(now, package);
        if let (Receipt::Newest | Receipt::Older, Body::Server { update }) = (receipt, package.body)
            && self.replica.apply(update).is_err()
        {
            self.connection.stats.malformed += 1;
        }
        receipt
    }

    /// Whether something newer than this update was merged. Its label does not tell where labels hop half way round
    /// while it is under way; but of two packages, the one that was sent first never has the newer update.
    fn has_overtaken(&self, header: Header, update: &[u8]) -> bool {
        let is_older = self.connection.received.newest.newer_than(header.sequence);
        let was_sent_earlier = self.merged.is_some_and(|merged| merged.newer_than(header.sequence));
        self.replica.has_overtaken(update) || is_older && was_sent_earlier
    }

    /// Whether a package was made before its sender knew that the state is asked for as a whole.
    fn is_from_before(&self, header: Header) -> bool {
        self.asked_after.is_some_and(|asked| header.ack == Sqn::ZERO || header.ack.since(asked) <= 0)
    }

    /// Whether a package has nothing but a part of the state that something newer has overtaken, or one of the copy
    /// that is given up.
    fn is_too_late(&self, package: &Package<'_>) -> bool {
        let Body::Server { update } = package.body else { return false };
        update.len() > EMPTY_UPDATE
            && package.events().next().is_none()
            && (self.is_from_before(package.header) || self.has_overtaken(package.header, update))
    }

    /// Whether the server no longer acknowledges what it did before. Then it is another one: an original begins
    /// with number 1, and that may be the next.
    fn has_forgotten(&self, header: Header) -> bool {
        let before = self.last_header;
        match u32::try_from(header.ack.since(before.ack)) {
            // An original forgets the newest number before a gap itself, so only the bits tell.
            Ok(by @ 0..32) => before.ack_bitfield >> by & !header.ack_bitfield != 0,
            _ => false,
        }
    }

    /// Takes the server for an original.
    fn end_greeting(&mut self) {
        self.greeting = None;
        self.server_is_ours = false;
        self.server_was_ours = true;
        self.connection.number_events(false);
    }

    /// Whether a package is of a session that the server has ended; another one begins with the first that is not.
    fn is_over_for(&mut self, sequence: Sqn) -> bool {
        let was_sent_away = self.phase == Phase::SentAway;
        let is_newer = sequence.newer_than(self.connection.received.newest);
        if was_sent_away && is_newer {
            self.phase = Phase::Running;
        }
        was_sent_away && !is_newer
    }

    /// Takes note that the server has ended the session, and tries it again after a while.
    fn leave(&mut self, now: Duration, reason: &str) {
        if self.phase != Phase::Running {
            self.close(); // it was about to end anyway
            return;
        }
        self.phase = Phase::SentAway;
        self.connection.set_status(Status::Disconnected);
        self.connection.abandon_unretried();
        self.trying_since = now;
        // Nobody who was kicked gets an answer at the old port.
        let (probes, pause) =
            if reason == SHUT_DOWN { (0, SLOW_INTERVAL) } else { (PROBES_AFTER_SHUTDOWN, REST) };
        (self.probes, self.pace) = (probes, Pace::from(now + pause));
    }
}
