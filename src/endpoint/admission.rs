//! Strangers: an address becomes a connection when it has proven that it receives what it is sent.
//!
//! The first sequence number sent to an address is unpredictable, and a package that acknowledges it is
//! the proof (compare RFC 9000, section 8.1). Until then an address costs one slot of a fixed table and
//! is sent at most three bytes for each byte that came from it.

mod stranger;

use std::{
    hash::Hasher,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use siphasher::sip::SipHasher13;

use super::{Counters, HELLO, sources::Source};
use crate::{
    connection::{NumberedArrivals, ReceiveWindow, Token},
    wire::{Header, Package, Sqn},
};
use stranger::{Stranger, answer, hold};

/// Slots an address may take; the one that has been silent longest makes room.
const WAYS: usize = 16;
/// Buckets that addresses of one source share, unless it is private: no source can have the table for itself.
const BUCKETS_PER_SOURCE: u64 = 4;
/// An unproven address from which nothing has come for this long is forgotten.
const EXPIRY: Duration = Duration::from_secs(5);
/// This many acknowledgements of numbers never sent silence an address until [`EXPIRY`] after the first.
const MAX_WRONG_ACKS: u8 = 8;
/// How far the first number to an address lies at least ahead of what it acknowledges when it comes: what a
/// server before us sent last may still be under way to it. The client takes a leap this long for a new server.
pub(super) const LEAP: u16 = 1024;

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
        *slot = Some(Box::new(Stranger::new(now, from, header.ack, random)));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Body, Kind, PackageWriter};

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
