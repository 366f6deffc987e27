//! Strangers: an address becomes a connection when it has proven that it receives what it is sent.
//!
//! The first sequence number sent to an address is unpredictable, and a package that acknowledges it is
//! the proof (compare RFC 9000, section 8.1). Until then an address costs one slot of a fixed table and
//! is sent at most three bytes for each byte that came from it.

use std::{
    hash::Hasher,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use siphasher::sip::SipHasher13;

use super::{Counters, HELLO, sources::Source};
use crate::{
    connection::{Arrival, NumberedArrivals, ReceiveWindow, Token},
    wire::{Body, Header, Package, PackageWriter, Sqn},
};

/// Slots an address may take; the one that has been silent longest makes room.
const WAYS: usize = 16;
/// Buckets that addresses of one source share, unless it is private: no source can have the table for itself.
const BUCKETS_PER_SOURCE: u64 = 4;
/// An unproven address from which nothing has come for this long is forgotten.
const EXPIRY: Duration = Duration::from_secs(5);
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
/// This many acknowledgements of numbers never sent silence an address until [`EXPIRY`] after the first.
const MAX_WRONG_ACKS: u8 = 8;
/// How far the first number to an address lies at least ahead of what it acknowledges when it comes: what a
/// server before us sent last may still be under way to it. The client takes a leap this long for a new server.
pub(super) const LEAP: u16 = 1024;

/// Who acknowledges the same wrong number so often does not guess.
const INSISTING: u8 = 4;
/// From how many numbers at least one is chosen that has to lie ahead of two others.
const LEAST_CHOICE: i32 = 8192;

/// What is known of an address that has not proven itself.
#[derive(Debug)]
struct Stranger {
    address: SocketAddr,
    /// Newest number sent to it, or the one before the first.
    last: Sqn,
    answers: u16,
    /// The number it acknowledges wrongly, and how often it has acknowledged that or one shortly after it.
    insisted: Option<(Sqn, u8)>,
    /// Newest number and answers before it was taken for one that held a session.
    before: Option<(Sqn, u16)>,
    /// How many of the waits between answers are over.
    gaps: usize,
    next_answer: Duration,
    heard: Duration,
    bytes_in: u64,
    bytes_out: u64,
    /// What it acknowledged when it came: that of a server before us, no guess.
    initial_ack: Sqn,
    wrong_acks: u8,
    /// When the first of them came.
    wrong_since: Duration,
    window: ReceiveWindow,
    /// What answers acknowledge: nothing with events, which are lost if the proof never comes.
    acknowledged: ReceiveWindow,
    /// What its newest package reports.
    time_order: Sqn,
    /// Whether it said that it is one of ours whenever it acknowledged nothing. Once not, and it is none: what an
    /// original must not be sent nobody can order in its name.
    hello: Option<bool>,
    held: Vec<Box<[u8]>>,
    held_bytes: usize,
}

impl Stranger {
    /// Whether a server before us may have sent this number: no guess of ours, which lie further ahead.
    fn is_left_over(&self, ack: Sqn) -> bool {
        self.initial_ack != Sqn::ZERO && (0..i32::from(LEAP)).contains(&ack.since(self.initial_ack))
    }

    /// Takes it, once, for one that held a session and has ignored what it was sent, because somebody had spoken in
    /// its name: numbers to it go on ahead of what it acknowledges and of all sent so far, if that leaves enough to
    /// choose from.
    fn begin_after(&mut self, now: Duration, ack: Sqn, random: u64) -> bool {
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
    fn note_time_order(&mut self, package: &Package<'_>) {
        if let Body::Client { time_order } = package.body
            && self.window.classify(package.header.sequence) == Arrival::Newest
        {
            self.time_order = time_order;
        }
    }

    /// Whether it was sent this number lately. Zero, which is no number, is as far from others as 65535 is.
    fn was_sent(&self, sequence: Sqn) -> bool {
        let among = |(last, answers): (Sqn, u16)| {
            (0..i32::from(answers.min(OPEN_ANSWERS))).contains(&last.since(sequence))
        };
        sequence != Sqn::ZERO && (among((self.last, self.answers)) || self.before.is_some_and(among))
    }
}

/// An address that has proven itself, and what it said before.
#[derive(Debug)]
pub(super) struct Proven {
    /// Newest number sent to it.
    pub(super) local_sequence: Sqn,
    /// What came from it before the package that proved it.
    pub(super) window: ReceiveWindow,
    /// What its newest package reports, the one that proved it or another.
    pub(super) time_order: Sqn,
    /// It is one of ours.
    pub(super) hello: bool,
    /// It held a session with an earlier server, and could not say whether it is one of ours.
    pub(super) returning: bool,
    /// Before the number of the first event to it.
    pub(super) event_base: u32,
    /// Which events came in a session that lapsed.
    pub(super) arrivals: Option<Box<NumberedArrivals>>,
    /// Events that came before the proof.
    pub(super) held: Vec<Box<[u8]>>,
}

/// The table of addresses that have not proven themselves.
#[derive(Debug)]
pub(super) struct Admission {
    slots: Vec<Option<Box<Stranger>>>,
    secret: [u8; 16],
    /// Makes first numbers differ when an address comes again.
    drawn: u64,
    held_in_all: usize,
    /// Private sources have a share like any other.
    limits_private: bool,
}

impl Admission {
    /// An empty table for so many addresses. `secret` must be unpredictable: first numbers derive from it.
    pub(super) fn new(secret: [u8; 16], slots: usize, limits_private: bool) -> Self {
        let slots = slots.next_multiple_of(WAYS).max(WAYS);
        Self {
            slots: std::iter::repeat_with(|| None).take(slots).collect(),
            limits_private,
            secret,
            drawn: 0,
            held_in_all: 0,
        }
    }

    /// Takes in a package of `size` bytes from an address without a connection. Gives the proof if it is
    /// one; may append an answer to `out`.
    pub(super) fn receive(
        &mut self,
        now: Duration,
        from: SocketAddr,
        size: usize,
        package: &Package<'_>,
        counters: &mut Counters,
        out: &mut Vec<u8>,
    ) -> Option<Proven> {
        counters.unproven += 1;
        counters.unproven_bytes_in += size as u64;
        let index = self.slot_for(now, from, package.header, counters);
        let slot = self.slots.get_mut(index)?;
        let stranger = slot.as_mut()?;
        stranger.bytes_in += size as u64;
        stranger.heard = now;
        if now.saturating_sub(stranger.wrong_since) >= EXPIRY {
            (stranger.wrong_acks, stranger.wrong_since) = (0, now);
        }
        if stranger.wrong_acks >= MAX_WRONG_ACKS {
            counters.silenced += 1;
            return None;
        }
        let ack = package.header.ack;
        if stranger.was_sent(ack) {
            stranger.note_time_order(package);
            let stranger = slot.take()?;
            self.held_in_all -= stranger.held_bytes;
            self.drawn += 1;
            return Some(Proven {
                event_base: (self.hash(from, self.drawn) as u32) << 16,
                local_sequence: stranger.last,
                window: stranger.window,
                time_order: stranger.time_order,
                arrivals: None,
                hello: stranger.hello == Some(true),
                returning: stranger.initial_ack != Sqn::ZERO,
                held: stranger.held,
            });
        }
        if ack != Sqn::ZERO && !stranger.is_left_over(ack) {
            stranger.wrong_acks += 1;
            counters.wrong_acks += 1;
            self.drawn += 1;
            let random = self.hash(from, self.drawn);
            let stranger = self.slots.get_mut(index)?.as_mut()?;
            if stranger.begin_after(now, ack, random) {
                answer(now, stranger, counters, out);
            }
            return None;
        }
        stranger.note_time_order(package);
        if ack == Sqn::ZERO {
            let says_hello = package.header.ack_bitfield == HELLO;
            if says_hello && stranger.hello.is_none() {
                // Perhaps said late, by a client that held a session with a server before and waits for nothing else.
                (stranger.next_answer, stranger.gaps) = (now, 0);
            }
            stranger.hello = Some(says_hello && stranger.hello.unwrap_or(true));
        }
        hold(stranger, package, &mut self.held_in_all, counters);
        answer(now, stranger, counters, out);
        None
    }

    /// How many addresses it has.
    pub(super) fn len(&self) -> usize {
        self.slots.iter().flatten().count()
    }

    /// How many bytes the table takes, and what it points to.
    pub(super) fn memory(&self) -> usize {
        self.slots.len() * size_of::<usize>() + self.len() * size_of::<Stranger>() + self.held_in_all
    }

    /// A token that nobody guesses.
    pub(super) fn draw_token(&mut self, address: SocketAddr) -> Token {
        let mut token = Token::default();
        for half in token.chunks_exact_mut(8) {
            self.drawn += 1;
            half.copy_from_slice(&self.hash(address, self.drawn).to_be_bytes());
        }
        token
    }

    /// The slot of `from`: the one it has, else a free one of its bucket, else that of the address that
    /// has been silent longest.
    fn slot_for(
        &mut self,
        now: Duration,
        from: SocketAddr,
        header: Header,
        counters: &mut Counters,
    ) -> usize {
        let mut place = self.hash(from, 0);
        let source = Source::of(from);
        if self.limits_private || !source.is_private() {
            let of_source = self.hash(SocketAddr::new(source.ip(), 0), 0);
            place = of_source.wrapping_add(place % BUCKETS_PER_SOURCE);
        }
        let bucket = (place % (self.slots.len() / WAYS) as u64) as usize * WAYS;
        let ways = bucket..bucket + WAYS;
        let age = |index: &usize| match self.slots.get(*index).and_then(Option::as_ref) {
            Some(stranger) if stranger.address == from => Duration::ZERO,
            Some(stranger) => stranger.heard + Duration::from_nanos(2),
            None => Duration::from_nanos(1),
        };
        let index = ways.min_by_key(age).unwrap_or(bucket);
        self.drawn += 1;
        let random = self.hash(from, self.drawn);
        let Some(slot) = self.slots.get_mut(index) else { return index };
        if let Some(stranger) = slot {
            let expired = now.saturating_sub(stranger.heard) > EXPIRY;
            if stranger.address == from && !expired {
                return index;
            }
            self.held_in_all -= stranger.held_bytes;
            counters.evicted += u64::from(!expired);
        }
        *slot = Some(Box::new(Stranger {
            address: from,
            last: before_first(header.ack, random),
            answers: 0,
            insisted: None,
            before: None,
            gaps: 0,
            next_answer: now,
            heard: now,
            bytes_in: 0,
            bytes_out: 0,
            initial_ack: header.ack,
            wrong_acks: 0,
            wrong_since: now,
            window: ReceiveWindow::default(),
            acknowledged: ReceiveWindow::default(),
            time_order: Sqn::ZERO,
            hello: None,
            held: Vec::new(),
            held_bytes: 0,
        }));
        index
    }

    fn hash(&self, address: SocketAddr, nonce: u64) -> u64 {
        let mut hasher = SipHasher13::new_with_key(&self.secret);
        match address.ip() {
            IpAddr::V4(ip) => hasher.write(&ip.octets()),
            IpAddr::V6(ip) => hasher.write(&ip.octets()),
        }
        hasher.write_u16(address.port());
        hasher.write_u64(nonce);
        hasher.finish()
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
fn hold(stranger: &mut Stranger, package: &Package<'_>, held_in_all: &mut usize, counters: &mut Counters) {
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
fn answer(now: Duration, stranger: &mut Stranger, counters: &mut Counters, out: &mut Vec<u8>) {
    if now < stranger.next_answer {
        return;
    }
    let start = out.len();
    let header = Header {
        sequence: stranger.last.next(),
        ack: stranger.acknowledged.newest,
        ack_bitfield: if stranger.hello == Some(true) { HELLO } else { stranger.acknowledged.bitfield },
    };
    let update = super::empty_update(stranger.time_order);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Kind;

    /// The length of the answer to a package that counts as `size` bytes, 0 for none.
    fn answer_to(size: usize) -> usize {
        let mut datagram = Vec::new();
        let body = Body::Client { time_order: Sqn::ZERO };
        let header = Header { sequence: Sqn::new(1), ack: Sqn::ZERO, ack_bitfield: 0 };
        assert!(PackageWriter::new(&mut datagram, header, body).is_ok());
        let package = Package::decode(Kind::Client, &datagram).unwrap();
        let (mut counters, mut out) = (Counters::default(), Vec::new());
        let from = "192.0.2.1:4000".parse().unwrap();
        let mut admission = Admission::new([7; 16], 8192, false);
        let proven = admission.receive(Duration::ZERO, from, size, &package, &mut counters, &mut out);
        assert!(proven.is_none());
        assert_eq!(
            (counters.unproven_bytes_in, counters.unproven_bytes_out),
            (size as u64, out.len() as u64)
        );
        out.len()
    }

    #[test]
    fn an_answer_goes_out_exactly_when_three_bytes_for_one_pay_for_it() {
        let full = answer_to(1000);
        assert!(full > 0);
        for size in 1..100 {
            let expected = if full <= 3 * size { full } else { 0 };
            assert_eq!(answer_to(size), expected, "{size} bytes in");
        }
    }
}
