//! Keys: one spelling for those that Python calls equal.

use std::borrow::Cow;

use super::read::{Reader, Token};
use super::timestamp::{TIMESTAMP_TYPE, Timestamp};
use super::write;

/// The one spelling of an encoded key among all those that Python calls equal.
///
/// `True`, `1`, `1.0` in either width and an integer in a form that is too wide are the same dictionary
/// key, and so are tuples of them. Borrowed when the key is spelled that way already, which keys by an
/// encoder of smallest forms nearly always are. Bytes that are not msgpack are their own spelling.
///
/// ```
/// use pygase::wire::msgpack::canonical_key;
/// assert_eq!(*canonical_key(&[0xc3]), [0x01]);
/// assert_eq!(*canonical_key(&[0xca, 0x3f, 0x80, 0x00, 0x00]), [0x01]);
/// ```
pub fn canonical_key(encoded: &[u8]) -> Cow<'_, [u8]> {
    match encoded {
        // Small integers, nil and short text have one spelling only.
        [0x00..=0x7f | 0xe0..=0xff | 0xc0] | [0xa0..=0xbf, ..] => Cow::Borrowed(encoded),
        _ => respelled(encoded).filter(|key| key != encoded).map_or(Cow::Borrowed(encoded), Cow::Owned),
    }
}

/// Tuples hold no maps, so that the spelling of a key is the spelling of its tokens, one by one.
fn respelled(encoded: &[u8]) -> Option<Vec<u8>> {
    let mut reader = Reader::new(encoded);
    let mut out = Vec::with_capacity(encoded.len());
    while !reader.rest().is_empty() {
        match reader.next().ok()? {
            Token::Nil => write::write_nil(&mut out),
            Token::Bool(value) => write::write_uint(&mut out, value.into()),
            Token::Uint(value) => write::write_uint(&mut out, value),
            Token::Int(value) => write::write_int(&mut out, value),
            Token::F32(value) => float(&mut out, value.into()),
            Token::F64(value) => float(&mut out, value),
            Token::Str(value) => write::write_str(&mut out, value),
            Token::Bin(value) => write::write_bin(&mut out, value),
            Token::Array(length) => write::write_array_len(&mut out, length),
            Token::Ext(TIMESTAMP_TYPE, data) => {
                write::write_timestamp(&mut out, Timestamp::decode(data)?.to_microsecond());
            }
            Token::Map(_) | Token::Ext(..) => return None,
        }
    }
    Some(out)
}

/// As an integer if it is one in 64 bits, else as narrow as it is exact.
#[allow(clippy::float_cmp, reason = "exact equality is what makes two keys one")]
fn float(out: &mut Vec<u8>, value: f64) {
    // 2^64 and -2^63: the first float above, and the last within, 64 bit integers.
    const ABOVE_U64: f64 = 18_446_744_073_709_551_616.0;
    const LEAST_I64: f64 = -9_223_372_036_854_775_808.0;
    let narrow = value as f32;
    if value.trunc() == value && (0.0..ABOVE_U64).contains(&value) {
        write::write_uint(out, value as u64);
    } else if value.trunc() == value && (LEAST_I64..0.0).contains(&value) {
        write::write_int(out, value as i64);
    } else if f64::from(narrow) == value {
        write::write_f32(out, narrow);
    } else {
        write::write_f64(out, value);
    }
}
