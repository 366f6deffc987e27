//! Sequence numbers that wrap from their maximum to 1; 0 stands for "none yet".

/// The arithmetic for any maximum, as PyGaSe does it (the difference is folded by the maximum, not by
/// the maximum plus one). `Sqn` is the two byte case that is on the wire.
pub mod arithmetic {
    /// `a + b`, wrapping past `max` to 1.
    pub const fn add(a: i128, b: i128, max: i128) -> i128 {
        let sum = a + b;
        if sum > max { sum - max } else { sum }
    }

    /// `a - b`, folded into the half window around 0.
    pub const fn sub(a: i128, b: i128, max: i128) -> i128 {
        let difference = a - b;
        let half = max / 2;
        if difference > half {
            difference - max
        } else if difference < -half {
            difference + max
        } else {
            difference
        }
    }

    /// Whether `a` comes after `b` in wrap-around order.
    pub const fn newer(a: i128, b: i128, max: i128) -> bool {
        sub(b, a, max) < 0
    }
}

/// A two byte sequence number: 1..=65535, the next after 65535 is 1; 0 is "none yet".
///
/// ```
/// use pygase::wire::Sqn;
/// assert_eq!(Sqn::new(65535).next(), Sqn::new(1));
/// assert!(Sqn::new(1).newer_than(Sqn::new(65535)));
/// assert_eq!(Sqn::new(2).since(Sqn::new(65534)), 3);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Sqn(u16);

impl Sqn {
    /// "None yet".
    pub const ZERO: Self = Self(0);

    /// The number as it is on the wire.
    pub const fn new(value: u16) -> Self {
        Self(value)
    }

    /// The number as it is on the wire.
    pub const fn value(self) -> u16 {
        self.0
    }

    /// The number after this one, never 0.
    pub const fn next(self) -> Self {
        if self.0 == MAX { Self(1) } else { Self(self.0 + 1) }
    }

    /// This number moved `steps` ahead, never 0 for a positive step.
    pub const fn ahead(self, steps: u16) -> Self {
        Self(arithmetic::add(self.0 as i128, steps as i128, MAX as i128) as u16)
    }

    /// The signed distance from `other` to this number, in -32767..=32767.
    pub const fn since(self, other: Self) -> i32 {
        arithmetic::sub(self.0 as i128, other.0 as i128, MAX as i128) as i32
    }

    /// Whether this number comes after `other` in wrap-around order.
    pub const fn newer_than(self, other: Self) -> bool {
        other.since(self) < 0
    }
}

const MAX: u16 = u16::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_after_the_last_is_one() {
        assert_eq!(Sqn::new(65534).next(), Sqn::new(65535));
        assert_eq!(Sqn::new(65535).next(), Sqn::new(1));
        assert_eq!(Sqn::new(65535).ahead(1), Sqn::new(1));
        assert_eq!(Sqn::ZERO.next(), Sqn::new(1));
    }

    #[test]
    fn a_whole_round_never_meets_zero_and_is_always_newer() {
        let mut number = Sqn::ZERO;
        for _ in 0..2 * u32::from(MAX) {
            let next = number.next();
            assert_ne!(next, Sqn::ZERO);
            assert_eq!(next.since(number), 1, "{next:?} after {number:?}");
            assert!(next.newer_than(number));
            number = next;
        }
        assert_eq!(number, Sqn::new(MAX));
    }
}
