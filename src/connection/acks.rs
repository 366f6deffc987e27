//! Acknowledgements: what came from the other side, and what became of what was sent to it.

use std::{collections::VecDeque, num::NonZeroU64, time::Duration};

use super::{CallbackId, events::Outgoing};
use crate::{
    room::give_back,
    wire::{Header, Sqn},
};

/// How many numbers before the newest one a package can speak of.
const WINDOW: i32 = 32;

/// What a received number means to the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// Newer than all before.
    Newest,
    /// Older than the newest, seen for the first time.
    Older,
    /// Seen before.
    Duplicate,
    /// Too old to tell.
    Late,
}

/// The newest number received and which of the 32 before it were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReceiveWindow {
    /// Newest number received; 0 = none yet.
    pub newest: Sqn,
    /// The most significant bit stands for the number before `newest`.
    pub bitfield: u32,
}

impl ReceiveWindow {
    /// What receiving `sequence` would mean, without taking note of it.
    pub fn classify(&self, sequence: Sqn) -> Arrival {
        let ahead = sequence.since(self.newest);
        if self.newest == Sqn::ZERO || ahead > 0 {
            Arrival::Newest
        } else if ahead == 0 {
            Arrival::Duplicate
        } else if ahead < -WINDOW {
            Arrival::Late
        } else if self.bitfield & bit(-ahead) != 0 {
            Arrival::Duplicate
        } else {
            Arrival::Older
        }
    }

    /// Whether a number lies where the next packages may: not far ahead, nor known or too old.
    pub(crate) fn is_near(self, sequence: Sqn) -> bool {
        let in_reach = self.newest == Sqn::ZERO || sequence.since(self.newest) <= 2 * WINDOW;
        in_reach && matches!(self.classify(sequence), Arrival::Newest | Arrival::Older)
    }

    /// Takes note of `sequence`. The package before a gap stays acknowledged (PyGaSe forgets it, which
    /// makes its sender believe it lost).
    pub fn receive(&mut self, sequence: Sqn) -> Arrival {
        let arrival = self.classify(sequence);
        let ahead = sequence.since(self.newest);
        match arrival {
            Arrival::Newest if self.newest == Sqn::ZERO => self.newest = sequence,
            Arrival::Newest => {
                self.bitfield = self.bitfield.checked_shr(ahead.unsigned_abs()).unwrap_or(0);
                if ahead <= WINDOW {
                    self.bitfield |= bit(ahead);
                }
                self.newest = sequence;
            }
            Arrival::Older => self.bitfield |= bit(-ahead),
            Arrival::Duplicate | Arrival::Late => {}
        }
        arrival
    }
}

/// The bit that stands for the number `behind` (1..=32) before the newest.
const fn bit(behind: i32) -> u32 {
    1 << (WINDOW - behind)
}

/// Whether `header` acknowledges `sequence`.
pub(super) fn acknowledges(header: Header, sequence: Sqn) -> bool {
    match header.ack.since(sequence) {
        0 => true,
        behind @ 1..=WINDOW => header.ack_bitfield & bit(behind) != 0,
        _ => false,
    }
}

/// A package that is neither acknowledged nor lost yet.
#[derive(Debug)]
pub struct SentPackage {
    /// Its number.
    pub sequence: Sqn,
    /// When it was sent.
    pub at: Duration,
    /// What its events are to hear of it; most packages have none that ask.
    pub(super) cargo: Option<Box<Cargo>>,
    /// What the sender knows its body by, if it wants to hear that it arrived.
    pub number: Option<NonZeroU64>,
}

/// What becomes of events once the fate of their package is known.
#[derive(Debug, Default)]
pub(super) struct Cargo {
    /// Whom to tell.
    pub(super) callbacks: Vec<CallbackId>,
    /// Events that are sent again if the package gets lost.
    pub(super) again: Vec<Outgoing>,
}

impl SentPackage {
    /// A package that nobody asks about.
    pub(super) fn new(sequence: Sqn, at: Duration) -> Self {
        Self { sequence, at, cargo: None, number: None }
    }

    /// Takes in an event.
    pub(super) fn carry(&mut self, event: Outgoing) {
        if let Some(retries) = event.retries.checked_sub(1) {
            let again = Outgoing { retries, may_have_come: true, ..event };
            self.cargo.get_or_insert_default().again.push(again);
        } else if let Some(callback) = event.callback {
            self.cargo.get_or_insert_default().callbacks.push(callback);
        }
    }

    /// What its events are to hear.
    pub(super) fn into_cargo(self) -> Cargo {
        self.cargo.map(|cargo| *cargo).unwrap_or_default()
    }

    /// Whom to tell what became of its events.
    pub(super) fn into_callbacks(self) -> impl Iterator<Item = CallbackId> {
        let Cargo { callbacks, again } = self.into_cargo();
        callbacks.into_iter().chain(again.into_iter().filter_map(|event| event.callback))
    }
}

/// Packages in flight, oldest first.
#[derive(Debug, Default)]
pub struct InFlight(VecDeque<SentPackage>);

impl InFlight {
    /// Remembers a package that goes out now.
    pub fn push(&mut self, package: SentPackage) {
        self.0.push_back(package);
    }

    /// Names the body of the package sent last; 0 is no name.
    pub fn number_newest(&mut self, number: u64) {
        if let Some(package) = self.0.back_mut() {
            package.number = NonZeroU64::new(number);
        }
    }

    /// How many packages are in flight.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no package is in flight.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes out what `header` acknowledges, oldest first; nothing before the other side has received anything.
    pub fn acknowledge(&mut self, header: Header, mut acknowledged: impl FnMut(SentPackage)) {
        if header.ack == Sqn::ZERO {
            return;
        }
        let mut index = 0;
        while let Some(package) = self.0.get(index) {
            if header.ack.since(package.sequence) < 0 {
                break;
            }
            if acknowledges(header, package.sequence) {
                self.0.remove(index).into_iter().for_each(&mut acknowledged);
            } else {
                index += 1;
            }
        }
        give_back(&mut self.0);
    }

    /// Takes out the oldest package if it was sent at `before` or earlier.
    pub fn pop_sent_until(&mut self, before: Duration) -> Option<SentPackage> {
        if self.0.front()?.at > before {
            return None;
        }
        let package = self.0.pop_front();
        give_back(&mut self.0);
        package
    }

    /// Takes out one package, whatever becomes of it.
    pub fn forget(&mut self, sequence: Sqn) -> Option<SentPackage> {
        let index = self.0.iter().position(|package| package.sequence == sequence)?;
        self.0.remove(index)
    }

    /// When the oldest package was sent.
    pub fn oldest(&self) -> Option<Duration> {
        self.0.front().map(|package| package.at)
    }

    /// All packages in flight, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &SentPackage> {
        self.0.iter()
    }

    /// Takes out everything, oldest first.
    pub fn drain(&mut self) -> impl Iterator<Item = SentPackage> + use<> {
        std::mem::take(&mut self.0).into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(ack: u16, ack_bitfield: u32) -> Header {
        Header { sequence: Sqn::new(1), ack: Sqn::new(ack), ack_bitfield }
    }

    #[test]
    fn every_bit_stands_for_its_number_the_last_included() {
        for behind in 1..=32_u16 {
            let speaking = header(100, 1 << (32 - behind));
            for candidate in 60..=110_u16 {
                let expected = candidate == 100 || candidate == 100 - behind;
                assert_eq!(
                    acknowledges(speaking, Sqn::new(candidate)),
                    expected,
                    "{candidate}, bit {behind}"
                );
            }
        }
    }

    #[test]
    fn who_has_received_nothing_acknowledges_nothing() {
        let mut in_flight = InFlight::default();
        for sequence in [65_534, 65_535] {
            in_flight.push(SentPackage::new(Sqn::new(sequence), Duration::ZERO));
        }
        in_flight.acknowledge(header(0, u32::MAX), |package| panic!("{package:?}"));
        assert_eq!(in_flight.iter().count(), 2);
    }

    #[test]
    fn a_gap_of_any_size_keeps_what_was_before_it() {
        for gap in 1..=40_u16 {
            let mut window = ReceiveWindow::default();
            window.receive(Sqn::new(5));
            window.receive(Sqn::new(5 + gap));
            let told = header(window.newest.value(), window.bitfield);
            assert_eq!(acknowledges(told, Sqn::new(5)), gap <= 32, "gap of {gap}");
            assert!((6..5 + gap).all(|missing| !acknowledges(told, Sqn::new(missing))));
        }
    }

    #[test]
    fn the_window_goes_on_past_the_wrap() {
        let mut window = ReceiveWindow::default();
        window.receive(Sqn::new(65534));
        assert_eq!(window.receive(Sqn::new(1)), Arrival::Newest);
        assert_eq!(window.receive(Sqn::new(65535)), Arrival::Older);
        assert_eq!(window.receive(Sqn::new(65535)), Arrival::Duplicate);
        assert_eq!((window.newest, window.bitfield), (Sqn::new(1), 0xc000_0000));
    }
}
