//! The first twelve bytes of every package.

use super::{Sqn, WireError};

/// The four bytes every package begins with.
pub const PROTOCOL_ID: [u8; 4] = [0xff, 0xd0, 0xfa, 0xb9];
/// Size of an encoded header in bytes.
pub const HEADER_SIZE: usize = 12;

/// Sequence number of a package and what its sender has received.
///
/// ```
/// use pygase::wire::{Header, Sqn};
/// let header = Header { sequence: Sqn::new(2), ack: Sqn::new(1), ack_bitfield: 0xe325_faa6 };
/// let bytes = header.encode();
/// assert_eq!(bytes, *b"\xff\xd0\xfa\xb9\x00\x02\x00\x01\xe3\x25\xfa\xa6");
/// assert_eq!(Header::decode(&bytes).unwrap(), (header, &[][..]));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Header {
    /// Number of this package.
    pub sequence: Sqn,
    /// Newest number received from the other side.
    pub ack: Sqn,
    /// Which of the 32 numbers before `ack` were received: the most significant bit is `ack - 1`.
    pub ack_bitfield: u32,
}

impl Header {
    /// The header as it is on the wire.
    pub fn encode(&self) -> [u8; HEADER_SIZE] {
        let [p0, p1, p2, p3] = PROTOCOL_ID;
        let [s0, s1] = self.sequence.value().to_be_bytes();
        let [a0, a1] = self.ack.value().to_be_bytes();
        let [b0, b1, b2, b3] = self.ack_bitfield.to_be_bytes();
        [p0, p1, p2, p3, s0, s1, a0, a1, b0, b1, b2, b3]
    }

    /// Splits a datagram into its header and the rest.
    pub fn decode(datagram: &[u8]) -> Result<(Self, &[u8]), WireError> {
        match datagram.strip_prefix(&PROTOCOL_ID).ok_or(WireError::ProtocolId)? {
            [s0, s1, a0, a1, b0, b1, b2, b3, rest @ ..] => Ok((
                Self {
                    sequence: Sqn::new(u16::from_be_bytes([*s0, *s1])),
                    ack: Sqn::new(u16::from_be_bytes([*a0, *a1])),
                    ack_bitfield: u32::from_be_bytes([*b0, *b1, *b2, *b3]),
                },
                rest,
            )),
            _ => Err(WireError::Truncated { at: datagram.len(), what: "the header" }),
        }
    }
}
