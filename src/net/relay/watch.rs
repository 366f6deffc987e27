//! What the headers of passing packages tell about the two halves of a line: from here to either end.

use std::{collections::VecDeque, time::Duration};

use crate::{
    connection::{Arrival, ReceiveWindow},
    wire::{Header, Sqn},
};

/// How many numbers before the newest one a package acknowledges.
const WINDOW: i32 = 32;
/// How many packages may wait for their acknowledgement; older ones count as lost.
const WAITING: usize = 256;
/// How far the newest number may jump: beyond it the sender has begun anew.
const GAP: i32 = 1000;
/// Share of a new value in what is smoothed.
const GAIN: f64 = 0.1;

/// What passed in one direction. Times are seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Passage {
    /// Packages that passed.
    pub packages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Packages that their sender numbered and that never came here.
    pub missing: u64,
    /// Packages that passed and that their receiver never acknowledged.
    pub lost: u64,
    /// From here to the receiver and back, with the time until its next package; smoothed.
    pub round_trip: f64,
    /// How much that differs from one time to the next, smoothed.
    pub jitter: f64,
}

/// Follows the packages of one direction.
#[derive(Clone, Debug, Default)]
pub(super) struct Watch {
    pub(super) passage: Passage,
    window: ReceiveWindow,
    waiting: VecDeque<(Sqn, Duration)>,
}

impl Watch {
    /// A package of this direction passes.
    pub(super) fn pass(&mut self, now: Duration, header: Header, size: usize) {
        let passage = &mut self.passage;
        passage.packages += 1;
        passage.bytes += size as u64;
        let ahead = header.sequence.since(self.window.newest);
        let is_first = self.window.newest == Sqn::ZERO;
        match self.window.receive(header.sequence) {
            Arrival::Newest if !is_first && ahead <= GAP => {
                passage.missing += u64::from(ahead.unsigned_abs()) - 1;
            }
            Arrival::Older => passage.missing = passage.missing.saturating_sub(1),
            Arrival::Newest | Arrival::Duplicate | Arrival::Late => {}
        }
        self.waiting.push_back((header.sequence, now));
        if self.waiting.len() > WAITING {
            self.waiting.pop_front();
            self.passage.lost += 1;
        }
    }

    /// A package of the other direction passes and says what has arrived.
    pub(super) fn answered(&mut self, now: Duration, header: Header) {
        let (passage, mut round_trip) = (&mut self.passage, None);
        self.waiting.retain(|&(sequence, at)| {
            let behind = header.ack.since(sequence);
            if behind == 0 {
                round_trip = Some(now.saturating_sub(at).as_secs_f64());
            }
            passage.lost += u64::from(behind > WINDOW);
            let bit = (1..=WINDOW).contains(&behind).then(|| header.ack_bitfield >> (WINDOW - behind) & 1);
            behind < 0 || bit == Some(0)
        });
        if let Some(seconds) = round_trip {
            if passage.round_trip == 0.0 {
                passage.round_trip = seconds;
            }
            let off = seconds - passage.round_trip;
            passage.round_trip += GAIN * off;
            passage.jitter += GAIN * (off.abs() - passage.jitter);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn header(sequence: u16, ack: u16, ack_bitfield: u32) -> Header {
        Header { sequence: Sqn::new(sequence), ack: Sqn::new(ack), ack_bitfield }
    }

    #[test]
    fn a_gap_is_missing_until_it_comes_late() {
        let mut watch = Watch::default();
        for sequence in [65534, 65535, 3, 2, 2] {
            watch.pass(MS, header(sequence, 0, 0), 14);
        }
        let Passage { packages, bytes, missing, .. } = watch.passage;
        assert_eq!((packages, bytes, missing), (5, 70, 1));
        watch.pass(MS, header(30_000, 0, 0), 14);
        assert_eq!(watch.passage.missing, 1, "a sender that begins anew misses nothing");
    }

    #[test]
    fn what_is_not_among_33_acknowledged_is_lost() {
        let mut watch = Watch::default();
        for sequence in 1..=40 {
            watch.pass(MS * u32::from(sequence), header(sequence, 0, 0), 14);
        }
        // 40 and the 32 before it, but for 10; 1 to 7 are too old to be named.
        watch.answered(MS * 60, header(1, 40, !(1 << (32 - 30))));
        assert_eq!(watch.passage.lost, 7);
        assert!((watch.passage.round_trip - 0.02).abs() < 1e-9, "{:?}", watch.passage);
        watch.answered(MS * 70, header(2, 43, 0));
        assert_eq!(watch.passage.lost, 8);
    }

    #[test]
    fn a_receiver_that_never_answers_costs_no_memory() {
        let mut watch = Watch::default();
        for sequence in 1..=1000 {
            watch.pass(MS, header(sequence, 0, 0), 14);
        }
        assert_eq!((watch.waiting.len(), watch.passage.lost), (WAITING, 1000 - WAITING as u64));
    }
}
