//! The farewell: by it a server of ours tells a client of ours that it ends the session, and why.
//!
//! It travels as an event that no handler sees, in the last package of a session.

use crate::wire::{limits::MAX_DATAGRAM, msgpack};

/// The event before the reason: `{"type": "~farewell", "handler_args": [`.
const BEFORE: &[u8] = b"\x83\xa4type\xa9~farewell\xachandler_args\x91";
/// The event after the reason: `], "handler_kwargs": {}}`.
const AFTER: &[u8] = b"\xaehandler_kwargs\x80";
/// The longest reason, in bytes; of one that is longer, the beginning is told.
const MAX_REASON: usize = 255;

/// The event that carries a reason.
pub(crate) fn event(reason: &str) -> Vec<u8> {
    let mut event = Vec::with_capacity(MAX_DATAGRAM);
    event.extend_from_slice(BEFORE);
    let ends = reason.char_indices().map(|(start, letter)| start + letter.len_utf8());
    let end = ends.take_while(|end| *end <= MAX_REASON).last().unwrap_or_default();
    msgpack::write_str(&mut event, reason.get(..end).unwrap_or_default());
    event.extend_from_slice(AFTER);
    event
}

/// The reason in an event, if it is one that carries a reason.
pub(crate) fn in_event(event: &[u8]) -> Option<&str> {
    let reason = event.strip_prefix(BEFORE)?.strip_suffix(AFTER)?;
    match msgpack::Reader::new(reason).next() {
        Ok(msgpack::Token::Str(reason)) => Some(reason),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_event_is_one_like_any_other_and_has_the_reason() {
        for (reason, told) in [("kicked", "kicked"), ("", ""), (&*"ä".repeat(200), &*"ä".repeat(127))] {
            let made = event(reason);
            assert_eq!(msgpack::event_parts(&made).unwrap().event_type, "~farewell");
            assert_eq!(in_event(&made), Some(told));
            assert_eq!(in_event(&made[1..]), None);
        }
        assert_eq!(in_event(&msgpack::event("~farewell", &[0x90], &[0x80])), None);
        assert_eq!(in_event(&msgpack::event("~farewell", &[0x91, 0x07], &[0x80])), None);
    }
}
