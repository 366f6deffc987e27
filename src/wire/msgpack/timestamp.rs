//! The timestamp extension, the only extension type that PyGaSe's values need.

/// The msgpack extension type of timestamps.
pub const TIMESTAMP_TYPE: i8 = -1;

const NANOS_PER_SECOND: u32 = 1_000_000_000;
/// 0001-01-01T00:00:00Z, the first moment a Python `datetime` knows.
const FIRST_SECOND: i64 = -62_135_596_800;
/// 9999-12-31T23:59:59Z, the last second a Python `datetime` knows.
const LAST_SECOND: i64 = 253_402_300_799;

/// A moment: seconds since 1970-01-01T00:00:00Z and the nanoseconds after them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Timestamp {
    seconds: i64,
    nanoseconds: u32,
}

impl Timestamp {
    /// A moment, if Python's `datetime` has it (the years 1 to 9999) and the nanoseconds are less than a second.
    pub const fn new(seconds: i64, nanoseconds: u32) -> Option<Self> {
        if seconds < FIRST_SECOND || seconds > LAST_SECOND || nanoseconds >= NANOS_PER_SECOND {
            return None;
        }
        Some(Self { seconds, nanoseconds })
    }

    /// The moment in an extension of type [`TIMESTAMP_TYPE`], in any of its three forms.
    pub fn decode(data: &[u8]) -> Option<Self> {
        match data.len() {
            4 => Self::new(u32::from_be_bytes(data.try_into().ok()?).into(), 0),
            8 => {
                let packed = u64::from_be_bytes(data.try_into().ok()?);
                Self::new((packed & 0x3_ffff_ffff).cast_signed(), (packed >> 34) as u32)
            }
            12 => {
                let (nanoseconds, seconds) = data.split_first_chunk()?;
                Self::new(i64::from_be_bytes(seconds.try_into().ok()?), u32::from_be_bytes(*nanoseconds))
            }
            _ => None,
        }
    }

    /// Whole seconds since 1970-01-01T00:00:00Z.
    pub const fn seconds(self) -> i64 {
        self.seconds
    }

    /// Nanoseconds after [`Self::seconds`], less than a second.
    pub const fn nanoseconds(self) -> u32 {
        self.nanoseconds
    }

    /// The moment as precise as Python's `datetime` has it.
    pub const fn to_microsecond(self) -> Self {
        Self { seconds: self.seconds, nanoseconds: self.nanoseconds / 1000 * 1000 }
    }
}
