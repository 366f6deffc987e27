//! The session token: by it a server of ours knows a client of ours again at another address.
//!
//! It travels as an event that no handler sees: from the server in the session it stands for, and back in the
//! packages by which the client proves another address.

/// A hundred and twenty-eight bits that nobody guesses.
pub type Token = [u8; 16];

/// The event before the token: `{"type": "~token", "handler_args": [`, and the head of 16 bytes.
const BEFORE: &[u8] = b"\x83\xa4type\xa6~token\xachandler_args\x91\xc4\x10";
/// The event after the token: `], "handler_kwargs": {}}`.
const AFTER: &[u8] = b"\xaehandler_kwargs\x80";
/// The size of the event.
pub(crate) const EVENT_SIZE: usize = BEFORE.len() + size_of::<Token>() + AFTER.len();

/// The event that carries a token.
pub(crate) fn event(token: &Token) -> Vec<u8> {
    [BEFORE, token, AFTER].concat()
}

/// The token in an event, if it is one that carries a token.
pub(crate) fn in_event(event: &[u8]) -> Option<Token> {
    event.strip_prefix(BEFORE)?.strip_suffix(AFTER)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::msgpack;

    #[test]
    fn the_event_is_one_like_any_other_and_has_the_token() {
        let token = std::array::from_fn(|index| index as u8);
        let made = event(&token);
        assert_eq!(made.len(), EVENT_SIZE);
        assert_eq!(msgpack::event_parts(&made).unwrap().event_type, "~token");
        assert_eq!(in_event(&made), Some(token));
        assert_eq!(in_event(&msgpack::event("~token", &[0x90], &[0x80])), None);
        assert_eq!(in_event(&made[..made.len() - 1]), None);
    }
}
