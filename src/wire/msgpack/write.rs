//! Writing: msgpack's smallest forms, appended to a buffer.

use rmp::encode;

use super::timestamp::{TIMESTAMP_TYPE, Timestamp};
use crate::wire::{Sqn, limits};

/// A `Vec` takes every write, so there is nothing to report.
fn infallible<T, E>(_: Result<T, E>) {}

/// Appends None.
pub fn write_nil(out: &mut Vec<u8>) {
    infallible(encode::write_nil(out));
}

/// Appends a truth value.
pub fn write_bool(out: &mut Vec<u8>, value: bool) {
    infallible(encode::write_bool(out, value));
}

/// Appends an integer that is not negative, in its smallest form.
pub fn write_uint(out: &mut Vec<u8>, value: u64) {
    infallible(encode::write_uint(out, value));
}

/// Appends an integer in its smallest form (unsigned where it is not negative).
#[inline]
pub fn write_int(out: &mut Vec<u8>, value: i64) {
    // Most numbers are small.
    match u8::try_from(value) {
        Ok(value @ ..0x80) => out.push(value),
        _ => infallible(encode::write_sint(out, value)),
    }
}

/// Appends a float, always single precision in PyGaSe.
pub fn write_f32(out: &mut Vec<u8>, value: f32) {
    infallible(encode::write_f32(out, value));
}

/// Appends a double precision float: only canonical keys need it.
pub fn write_f64(out: &mut Vec<u8>, value: f64) {
    infallible(encode::write_f64(out, value));
}

/// Appends text (at most `u32::MAX` bytes, which callers that take text from users have to see to).
#[inline]
pub fn write_str(out: &mut Vec<u8>, value: &str) {
    // Most text is short.
    match u8::try_from(value.len()) {
        Ok(length @ ..32) => {
            out.reserve(32);
            out.push(0xa0 | length);
            out.extend_from_slice(value.as_bytes());
        }
        _ => infallible(encode::write_str(out, value)),
    }
}

/// Appends bytes (at most `u32::MAX`, which callers that take bytes from users have to see to).
pub fn write_bin(out: &mut Vec<u8>, value: &[u8]) {
    infallible(encode::write_bin(out, value));
}

/// Appends the head of an array; its elements have to follow.
#[inline]
pub fn write_array_len(out: &mut Vec<u8>, length: u32) {
    match u8::try_from(length) {
        Ok(length @ ..16) => out.push(0x90 | length),
        _ => infallible(encode::write_array_len(out, length)),
    }
}

/// Appends the head of a map; its keys, each with its value, have to follow.
#[inline]
pub fn write_map_len(out: &mut Vec<u8>, length: u32) {
    match u8::try_from(length) {
        Ok(length @ ..16) => out.push(0x80 | length),
        _ => infallible(encode::write_map_len(out, length)),
    }
}

/// Appends a moment in the shortest of the three timestamp forms.
pub fn write_timestamp(out: &mut Vec<u8>, value: Timestamp) {
    let (seconds, nanoseconds) = (value.seconds(), value.nanoseconds());
    let unsigned = u64::try_from(seconds).ok().filter(|seconds| seconds >> 34 == 0);
    match (unsigned, u32::try_from(seconds), nanoseconds) {
        (_, Ok(seconds), 0) => {
            infallible(encode::write_ext_meta(out, 4, TIMESTAMP_TYPE));
            out.extend_from_slice(&seconds.to_be_bytes());
        }
        (Some(seconds), _, _) => {
            infallible(encode::write_ext_meta(out, 8, TIMESTAMP_TYPE));
            out.extend_from_slice(&(u64::from(nanoseconds) << 34 | seconds).to_be_bytes());
        }
        (None, _, _) => {
            infallible(encode::write_ext_meta(out, 12, TIMESTAMP_TYPE));
            out.extend_from_slice(&nanoseconds.to_be_bytes());
            out.extend_from_slice(&seconds.to_be_bytes());
        }
    }
}

/// Appends the key `time_order` and a time order of a fixed width (`cd`, two bytes), so that it can be patched
/// in place: the last two bytes of what is appended are the number.
pub fn write_time_order_fixed(out: &mut Vec<u8>, time_order: Sqn) {
    write_str(out, limits::TIME_ORDER_KEY);
    infallible(encode::write_u16(out, time_order.value()));
}

/// Appends the time order of a live update: two bytes as in [`write_time_order_fixed`], or four for a part of
/// something larger. It is the same number to everybody; see [`update_label`](super::update_label).
pub fn write_label(out: &mut Vec<u8>, time_order: Sqn, part: bool) {
    infallible(if part {
        encode::write_u32(out, time_order.value().into())
    } else {
        encode::write_u16(out, time_order.value())
    });
}

/// A msgpacked event of a type with arguments that are msgpack already: `args` an array, `kwargs` a map with
/// text keys.
pub fn event(event_type: &str, args: &[u8], kwargs: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(36 + event_type.len() + args.len() + kwargs.len());
    write_map_len(&mut out, 3);
    write_str(&mut out, "type");
    write_str(&mut out, event_type);
    write_str(&mut out, "handler_args");
    out.extend_from_slice(args);
    write_str(&mut out, "handler_kwargs");
    out.extend_from_slice(kwargs);
    out
}
