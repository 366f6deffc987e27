//! Choices made by bytes: the same bytes make the same choices, and a small change of them a small change of these.

use std::time::Duration;

/// Bytes that are used up one choice at a time; when none are left, every choice is the first.
#[derive(Clone, Debug)]
pub struct Input<'a> {
    bytes: &'a [u8],
}

impl<'a> Input<'a> {
    /// All choices are still to be made.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// Whether no choices are left.
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// A byte.
    pub fn u8(&mut self) -> u8 {
        let Some((byte, rest)) = self.bytes.split_first() else { return 0 };
        self.bytes = rest;
        *byte
    }

    /// Two bytes.
    pub fn u16(&mut self) -> u16 {
        u16::from_be_bytes([self.u8(), self.u8()])
    }

    /// Eight bytes.
    pub fn u64(&mut self) -> u64 {
        (0..8).fold(0, |sum, _| sum << 8 | u64::from(self.u8()))
    }

    /// A number below `end`, which is at most 65,536.
    pub fn below(&mut self, end: usize) -> usize {
        let wide = if end > 256 { self.u16().into() } else { usize::from(self.u8()) };
        wide % end.max(1)
    }

    /// Whether something of which one in `times` happens does.
    pub fn one_in(&mut self, times: usize) -> bool {
        self.below(times) + 1 == times
    }

    /// Up to `most` of the bytes.
    pub fn bytes(&mut self, most: usize) -> &'a [u8] {
        let length = self.below(most + 1).min(self.bytes.len());
        let (taken, rest) = self.bytes.split_at(length);
        self.bytes = rest;
        taken
    }

    /// One of these.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// A time that a network or a scheduler may take: mostly milliseconds, sometimes many seconds.
    pub fn time(&mut self) -> Duration {
        let unit = self.pick(&[1, 1, 1, 1, 5, 25, 25, 25, 100, 250, 1000]);
        Duration::from_millis(unit * u64::from(self.u8() % 32))
    }
}
