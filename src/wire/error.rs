//! What can be wrong with bytes, and with values that are to become bytes.

use super::limits::MAX_DATAGRAM;

/// Why bytes are not a package, or a value cannot become one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// The datagram ends before what its own lengths promise.
    #[error("the datagram ends at byte {at} in the middle of {what}")]
    Truncated {
        /// Where the bytes ran out.
        at: usize,
        /// What was being read.
        what: &'static str,
    },
    /// The first four bytes are not PyGaSe's.
    #[error("the datagram does not begin with the PyGaSe protocol id")]
    ProtocolId,
    /// The datagram or the package being built is larger than a package may be.
    #[error("{size} bytes exceed the maximum package size of {MAX_DATAGRAM} bytes")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
    },
    /// msgpack that is malformed or outside of the limits.
    #[error("msgpack at byte {at}: {problem}")]
    Msgpack {
        /// Offset of the offending byte in the value.
        at: usize,
        /// What is wrong there.
        problem: MsgpackProblem,
    },
    /// A well-formed msgpack value that is not an event.
    #[error("not an event: {0}")]
    NotAnEvent(&'static str),
    /// A well-formed msgpack value that is not a game state update.
    #[error("not a game state update: {0}")]
    NotAnUpdate(&'static str),
}

/// What is wrong with a msgpack value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MsgpackProblem {
    /// The bytes end inside of a value.
    #[error("the value is cut off")]
    Truncated,
    /// A container announces more elements than bytes are left.
    #[error("a container announces more elements than there are bytes")]
    LyingLength,
    /// The code 0xc1.
    #[error("reserved code 0xc1")]
    Reserved,
    /// Text that is not UTF-8.
    #[error("text that is not UTF-8")]
    Utf8,
    /// Nested deeper than allowed.
    #[error("nested too deep")]
    TooDeep,
    /// More values than allowed.
    #[error("too many values")]
    TooMany,
    /// The same key twice in one map (equal as Python compares keys).
    #[error("the same key twice in a map")]
    DuplicateKey,
    /// A key that Python cannot hash or find again (a map, a NaN).
    #[error("a key that cannot be a dictionary key")]
    BadKey,
    /// An extension type other than the timestamp, or a malformed timestamp.
    #[error("an unknown extension type or a malformed timestamp")]
    Extension,
}
