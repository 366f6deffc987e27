//! What is known of an address that has not proven itself, what it is answered, and what is kept for it.

use std::{net::SocketAddr, time::Duration};

use super::{EXPIRY, LEAP};
use crate::{
    connection::{Arrival, ReceiveWindow},
    endpoint::{Counters, HELLO, empty_update},
    wire::{Body, Header, Package, PackageWriter, Sqn},
};

/// How many bytes an unproven address may be sent for each byte it sent (RFC 9000, section 8.1).
const AMPLIFICATION: u64 = 3;
/// Waits between answers; the last one repeats.
const ANSWER_GAPS: [Duration; 4] = [
    Duration::from_millis(50),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(200),
];
/// So many of the newest answers can be acknowledged as the proof: those of some ten seconds. Each one more
/// would make a guess likelier.
const OPEN_ANSWERS: u16 = 50;
/// Bytes of events held for one address until it has proven itself.
const HELD_PER_ADDRESS: usize = 2048;
/// Bytes of events held for all addresses together.
const HELD_IN_ALL: usize = 4 * 1024 * 1024;
/// What an event that is held costs besides its bytes.
const HELD_OVERHEAD: usize = 32;
/// Who acknowledges the same wrong number so often does not guess.
const INSISTING: u8 = 4;
/// From how many numbers at least one is chosen that has to lie ahead of two others.
const LEAST_CHOICE: i32 = 8192;

/// What is known of an address that has not proven itself.
#[derive(Debug)]
pub(super) struct Stranger {
    pub(super) address: SocketAddr,
    /// Newest number sent to it, or the one before the first.
    pub(super) last: Sqn,
    answers: u16,
    /// The number it acknowledges wrongly, and how often it has acknowledged that or one shortly after it.
    insisted: Option<(Sqn, u8)>,
    /// Newest number and answers before it was taken for one that held a session.
    before: Option<(Sqn, u16)>,
    /// How many of the waits between answers are over.
    pub(super) gaps: usize,
    pub(super) next_answer: Duration,
    pub(super) heard: Duration,
    pub(super) bytes_in: u64,
    bytes_out: u64,
    /// What it acknowledged when it came: that of a server before us, no guess.
    pub(super) initial_ack: Sqn,
    pub(super) wrong_acks: u8,
    /// When the first of them came.
    pub(super) wrong_since: Duration,
    pub(super) window: ReceiveWindow,
    /// What answers acknowledge: nothing with events, which are lost if the proof never comes.
    acknowledged: ReceiveWindow,
    /// What its newest package reports.
    pub(super) time_order: Sqn,
    /// Whether it said that it is one of ours whenever it acknowledged nothing. Once not, and it is none: what an
    /// original must not be sent nobody can order in its name.
    pub(super) hello: Option<bool>,
    pub(super) held: Vec<Box<[u8]>>,
    pub(super) held_bytes: usize,
}

impl Stranger {
    /// One that came with this acknowledgement, and has not been sent anything.
    pub(super) fn new(now: Duration, address: SocketAddr, initial_ack: Sqn, random: u64) -> Self {
        Self {
            address,
            last: before_first(initial_ack, random),
            answers: 0,
            insisted: None,
            before: None,
            gaps: 0,
            next_answer: now,
            heard: now,
            bytes_in: 0,
            bytes_out: 0,
            initial_ack,
            wrong_acks: 0,
            wrong_since: now,
            window: ReceiveWindow::default(),
            acknowledged: ReceiveWindow::default(),
            time_order: Sqn::ZERO,
            hello: None,
            held: Vec::new(),
            held_bytes: 0,
        }
    }

    /// Whether a server before us may have sent this number: no guess of ours, which lie further ahead.
    pub(super) fn is_left_over(&self, ack: Sqn) -> bool {
        self.initial_ack != Sqn::ZERO && (0..i32::from(LEAP)).contains(&ack.since(self.initial_ack))
    }

    /// Takes it, once, for one that held a session and has ignored what it was sent, because somebody had spoken in
    /// its name: numbers to it go on ahead of what it acknowledges and of all sent so far, if that leaves enough to
    /// choose from.
    pub(super) fn begin_after(&mut self, now: Duration, ack: Sqn, random: u64) -> bool {
        let (first, times) =
            self.insisted.filter(|(first, _)| (0..=32).contains(&ack.since(*first))).unwrap_or((ack, 0));
        self.insisted = Some((first, times + 1));
        if times + 1 < INSISTING {
            return false;
        }
        let ahead = ack.since(self.last);
        let least = ahead.max(0) + i32::from(LEAP);
        let choice = (32_766 + ahead.min(0)) - least;
        if choice < LEAST_CHOICE || self.before.is_some() {
            return false;
        }
        let step = least + (random % u64::from(choice.unsigned_abs())) as i32;
        self.before = Some((self.last, self.answers));
        self.last = self.last.ahead(step as u16);
        (self.initial_ack, self.answers, self.gaps, self.next_answer) = (ack, 0, 0, now);
        true
    }

    /// Takes the time order of its newest package: one that comes late speaks of a copy that may be given up by now.
    pub(super) fn note_time_order(&mut self, package: &Package<'_>) {
        if let Body::Client { time_order } = package.body
            && self.window.classify(package.header.sequence) == Arrival::Newest
        {
            self.time_order = time_order;
        }
    }

    /// Whether it was sent this number lately. Zero, which is no number, is as far from others as 65535 is.
    pub(super) fn was_sent(&self, sequence: Sqn) -> bool {
        let among = |(last, answers): (Sqn, u16)| {
            (0..i32::from(answers.min(OPEN_ANSWERS))).contains(&last.since(sequence))
        };
        sequence != Sqn::ZERO && (among((self.last, self.answers)) || self.before.is_some_and(among))
    }
}

/// The number before the first to send to an address: anywhere for one that acknowledges nothing, ahead of
/// what it has received by a leap for one that does (an original client dies of a number far behind).
fn before_first(ack: Sqn, random: u64) -> Sqn {
    match ack {
        Sqn::ZERO => Sqn::new((random % 65_535 + 1) as u16),
        ack => ack.ahead(LEAP + (random % u64::from(32_766 - LEAP)) as u16),
    }
}

/// Keeps the events of a package until the proof. A package whose events find no room counts as never
/// received: it is not acknowledged.
pub(super) fn hold(
    stranger: &mut Stranger,
    package: &Package<'_>,
    held_in_all: &mut usize,
    counters: &mut Counters,
) {
    if !matches!(stranger.window.classify(package.header.sequence), Arrival::Newest | Arrival::Older) {
        return;
    }
    let bytes: usize = package.events().map(|event| event.len() + HELD_OVERHEAD).sum();
    if bytes > 0 && (stranger.held_bytes + bytes > HELD_PER_ADDRESS || *held_in_all + bytes > HELD_IN_ALL) {
        counters.over_limit += 1;
        return;
    }
    stranger.held_bytes += bytes;
    *held_in_all += bytes;
    stranger.held.extend(package.events().map(Box::from));
    stranger.window.receive(package.header.sequence);
    if bytes == 0 {
        stranger.acknowledged.receive(package.header.sequence);
    }
}

/// Appends an answer if one is due and paid for: a package with an update that carries the stranger's own
/// time order and so changes nothing, under a number of its own.
pub(super) fn answer(now: Duration, stranger: &mut Stranger, counters: &mut Counters, out: &mut Vec<u8>) {
    if now < stranger.next_answer {
        return;
    }
    let start = out.len();
    let header = Header {
        sequence: stranger.last.next(),
        ack: stranger.acknowledged.newest,
        ack_bitfield: if stranger.hello == Some(true) { HELLO } else { stranger.acknowledged.bitfield },
    };
    let update = empty_update(stranger.time_order);
    if PackageWriter::new(out, header, Body::Server { update: &update }).is_err() {
        return;
    }
    let size = (out.len() - start) as u64;
    if stranger.bytes_out + size > AMPLIFICATION * stranger.bytes_in {
        out.truncate(start);
        return;
    }
    let gap = ANSWER_GAPS.get(stranger.gaps).or(ANSWER_GAPS.last());
    stranger.gaps += 1;
    stranger.next_answer = now + gap.copied().unwrap_or(EXPIRY);
    stranger.last = stranger.last.next();
    stranger.answers = stranger.answers.saturating_add(1);
    stranger.bytes_out += size;
    counters.answers += 1;
    counters.unproven_bytes_out += size;
}
