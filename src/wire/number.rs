//! The number under which an event travels, so that its receiver knows one that comes again.
//!
//! It is the value of a key that PyGaSe does not have and passes over: `~`, the first key of the event's map. A
//! number alone asks for "at most once", one in an array for "and in the order of the numbers".

use super::msgpack;

/// The key, as msgpack.
const KEY: [u8; 2] = [0xa1, b'~'];
/// The head of an array of one element.
const ARRAY_OF_ONE: u8 = 0x91;
/// Heads of maps with up to fifteen keys; the last one has no room for another.
const SMALL_MAPS: std::ops::Range<u8> = 0x80..0x8f;

/// The number of an event, and what it is for.
///
/// ```
/// use pygase::wire::{EventNumber, msgpack};
///
/// let event = msgpack::event("MOVE", &[0x90], &[0x80]);
/// let mut numbered = Vec::new();
/// EventNumber { number: 7, in_order: false }.write(&event, &mut numbered);
/// assert_eq!(EventNumber::of(&numbered), Some(EventNumber { number: 7, in_order: false }));
/// assert_eq!(msgpack::event_parts(&numbered), msgpack::event_parts(&event));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EventNumber {
    /// One more than that of the event before it; wraps.
    pub number: u32,
    /// Whether events are to be handled in the order of their numbers.
    pub in_order: bool,
}

impl EventNumber {
    /// How many bytes a number adds to an event at most.
    pub const MAX_SIZE: usize = KEY.len() + 1 + 5;

    /// Whether a msgpacked event can be given a number.
    pub fn fits(event: &[u8]) -> bool {
        event.first().is_some_and(|head| SMALL_MAPS.contains(head)) && event.get(1..3) != Some(&KEY)
    }

    /// The number of a msgpacked event; None if it has none.
    pub fn of(event: &[u8]) -> Option<Self> {
        let rest = event.get(1..)?.strip_prefix(&KEY)?;
        let (in_order, rest) = match rest.strip_prefix(&[ARRAY_OF_ONE]) {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        let number = msgpack::first_uint(rest).and_then(|number| u32::try_from(number).ok())?;
        Some(Self { number, in_order })
    }

    /// How many bytes it adds to an event.
    pub fn size(self) -> usize {
        let number = match self.number {
            0..0x80 => 1,
            0x80..0x100 => 2,
            0x100..0x1_0000 => 3,
            _ => 5,
        };
        KEY.len() + usize::from(self.in_order) + number
    }

    /// Appends a msgpacked event that [`Self::fits`] under this number.
    pub fn write(self, event: &[u8], out: &mut Vec<u8>) {
        let Some((head, rest)) = event.split_first() else { return };
        out.push(head.wrapping_add(1));
        out.extend_from_slice(&KEY);
        if self.in_order {
            out.push(ARRAY_OF_ONE);
        }
        msgpack::write_uint(out, self.number.into());
        out.extend_from_slice(rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_read_as_it_was_written_and_has_the_size_it_says() {
        let event = msgpack::event("A", &[0x91, 0x07], &[0x80]);
        for number in [0, 1, 0x7f, 0x80, 0xff, 0x100, 0xffff, 0x1_0000, u32::MAX] {
            for in_order in [false, true] {
                let wanted = EventNumber { number, in_order };
                let mut out = Vec::new();
                wanted.write(&event, &mut out);
                assert_eq!(EventNumber::of(&out), Some(wanted));
                assert_eq!(out.len(), event.len() + wanted.size());
                assert!(wanted.size() <= EventNumber::MAX_SIZE);
                assert_eq!(msgpack::event_parts(&out), msgpack::event_parts(&event));
                assert!(!EventNumber::fits(&out), "none twice");
            }
        }
    }

    #[test]
    fn what_is_no_number_is_none() {
        for tail in [&[][..], &[0xc0], &[0xff], &[0xcf, 0, 0, 0, 1, 0, 0, 0, 0], &[0x92, 1, 2], &[0x90]] {
            let mut event = vec![0x81, 0xa1, b'~'];
            event.extend_from_slice(tail);
            assert_eq!(EventNumber::of(&event), None, "{tail:?}");
        }
        assert_eq!(EventNumber::of(&[0x81, 0xa1, b'x', 1]), None);
        assert!(!EventNumber::fits(&[0x8f]) && !EventNumber::fits(&[0xde, 0, 3]) && !EventNumber::fits(&[]));
    }
}
