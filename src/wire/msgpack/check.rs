//! The check: whether bytes are one well-formed value within limits, an event, or an update.

use std::ops::Range;

use super::key::canonical_key;
use super::read::{Reader, Token};
use super::timestamp::{TIMESTAMP_TYPE, Timestamp};
use crate::wire::error::MsgpackProblem;
use crate::wire::{Sqn, WireError, limits};

/// How the number of a part of something larger is written: as a uint32, which no number needs.
const PART_FORM: u8 = 0xce;

/// How deep and how many: what a value may be besides well formed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// The deepest nesting of arrays and maps.
    pub depth: usize,
    /// The most values, keys and containers included.
    pub nodes: usize,
}

impl Limits {
    /// For what comes in a datagram.
    pub const NETWORK: Self = Self { depth: limits::MAX_DEPTH, nodes: limits::MAX_NODES };
    /// For what this process packed itself, whole game states for example.
    pub const LOCAL: Self = Self { depth: limits::MAX_DEPTH, nodes: usize::MAX };
}

/// The three parts of a msgpacked event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EventParts<'a> {
    /// The event type.
    pub event_type: &'a str,
    /// The positional arguments: a msgpack array.
    pub args: &'a [u8],
    /// The keyword arguments: a msgpack map with text keys.
    pub kwargs: &'a [u8],
}

/// Checks the first value in `bytes` and gives its length; bytes after it are ignored, as PyGaSe does.
///
/// Checked are structure, lengths, text, extensions, the limits, and that every map is a possible
/// dictionary: keys that Python can hash and find again, none twice.
pub fn check(bytes: &[u8], limits: Limits) -> Result<usize, WireError> {
    let mut checker = Checker::new(bytes, limits);
    checker.value(Role::Value)?;
    Ok(checker.reader.position())
}

/// Checks that `bytes` are an event within the limits for the network.
pub fn check_event(bytes: &[u8]) -> Result<(), WireError> {
    event_parts(bytes).map(drop)
}

/// Checks that `bytes` are an event within the limits for the network and gives its parts.
///
/// Keys that an event does not have are ignored.
pub fn event_parts(bytes: &[u8]) -> Result<EventParts<'_>, WireError> {
    let (mut event_type, mut args, mut kwargs) = (None, None, None);
    fields(bytes, WireError::NotAnEvent, |key, first, value| {
        match (key, first) {
            ("type", Token::Str(text)) => event_type = Some(text),
            ("type", _) => return Err(WireError::NotAnEvent("its type is not text")),
            ("handler_args", Token::Array(_)) => args = Some(value),
            ("handler_args", _) => return Err(WireError::NotAnEvent("its handler_args are not an array")),
            ("handler_kwargs", Token::Map(_)) if has_text_keys(value) => kwargs = Some(value),
            ("handler_kwargs", _) => {
                return Err(WireError::NotAnEvent("its handler_kwargs are not a map with text keys"));
            }
            _ => {}
        }
        Ok(())
    })?;
    Ok(EventParts {
        event_type: event_type.ok_or(WireError::NotAnEvent("it has no type"))?,
        args: args.ok_or(WireError::NotAnEvent("it has no handler_args"))?,
        kwargs: kwargs.ok_or(WireError::NotAnEvent("it has no handler_kwargs"))?,
    })
}

/// Checks that `bytes` are a game state update within the limits for the network.
pub fn check_update(bytes: &[u8]) -> Result<(), WireError> {
    update_time_order(bytes).map(drop)
}

/// Checks that `bytes` are a game state update within the limits for the network and gives its time order.
pub fn update_time_order(bytes: &[u8]) -> Result<Sqn, WireError> {
    update_label(bytes).map(|(time_order, _)| time_order)
}

/// The time order of an update, and whether it is one that [`write_label`](super::write_label) marked as a
/// part: then a server of ours has more to send before the state is whole.
pub fn update_label(bytes: &[u8]) -> Result<(Sqn, bool), WireError> {
    let mut time_order = None;
    fields(bytes, WireError::NotAnUpdate, |key, first, value| {
        if key == limits::TIME_ORDER_KEY {
            time_order = Some((sequence_number(first)?, value.first() == Some(&PART_FORM)));
        }
        Ok(())
    })?;
    time_order.ok_or(WireError::NotAnUpdate("it has no time_order"))
}

/// The time order of an update, found without a look at what else is in it: for those who do not read that.
pub fn peek_time_order(bytes: &[u8]) -> Result<Sqn, WireError> {
    let mut reader = Reader::new(bytes);
    let Token::Map(length) = reader.next()? else { return Err(WireError::NotAnUpdate("it is not a map")) };
    for _ in 0..length {
        if reader.next()? == Token::Str(limits::TIME_ORDER_KEY) {
            return sequence_number(reader.next()?);
        }
        reader.skip()?;
    }
    Err(WireError::NotAnUpdate("it has no time_order"))
}

/// The time order that a token stands for.
fn sequence_number(token: Token<'_>) -> Result<Sqn, WireError> {
    let Token::Uint(number) = token else {
        return Err(WireError::NotAnUpdate("its time_order is not a sequence number"));
    };
    let too_large = |_| WireError::NotAnUpdate("its time_order exceeds the maximum sequence number");
    u16::try_from(number).map(Sqn::new).map_err(too_large)
}

/// Walks a map with text keys once, checking everything in it, and shows each key with the first token and
/// the bytes of its value.
fn fields<'a>(
    bytes: &'a [u8],
    not: fn(&'static str) -> WireError,
    mut each: impl FnMut(&'a str, Token<'a>, &'a [u8]) -> Result<(), WireError>,
) -> Result<(), WireError> {
    let mut checker = Checker::new(bytes, Limits::NETWORK);
    let Token::Map(length) = checker.reader.next()? else { return Err(not("it is not a map")) };
    checker.nodes = 1;
    checker.outside = 1;
    for _ in 0..length {
        let start = checker.reader.position();
        let Token::Str(key) = checker.reader.clone().next()? else {
            return Err(not("it has a key that is not text"));
        };
        checker.value(Role::Key)?;
        checker.keys.push(start..checker.reader.position());
        let start = checker.reader.position();
        let first = checker.reader.clone().next()?;
        checker.value(Role::Value)?;
        each(key, first, checker.reader.since(start))?;
    }
    checker.unique(0)
}

/// Whether a map that was checked has only text keys.
fn has_text_keys(map: &[u8]) -> bool {
    let mut reader = Reader::new(map);
    let Ok(Token::Map(length)) = reader.next() else { return false };
    (0..length).all(|_| matches!(reader.next(), Ok(Token::Str(_))) && reader.skip().is_ok())
}

/// Whether a value is (part of) a key of a map.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Key,
    Value,
}

/// A container whose elements are being checked.
struct Frame {
    /// Where the container begins.
    start: usize,
    /// Elements that are still to come; a map's keys and values both count.
    left: u64,
    /// Where this map's keys begin among all keys; None for an array.
    keys: Option<usize>,
    /// What the container itself is.
    role: Role,
}

/// The check of one value: an explicit stack in place of recursion.
struct Checker<'a> {
    bytes: &'a [u8],
    reader: Reader<'a>,
    limits: Limits,
    nodes: usize,
    /// Containers around the value that `stack` does not know of.
    outside: usize,
    stack: Vec<Frame>,
    /// Where the keys of all maps that are being checked are.
    keys: Vec<Range<usize>>,
}

impl<'a> Checker<'a> {
    fn new(bytes: &'a [u8], limits: Limits) -> Self {
        let reader = Reader::new(bytes);
        Self { bytes, reader, limits, nodes: 0, outside: 0, stack: Vec::new(), keys: Vec::new() }
    }

    /// Reads one whole value.
    fn value(&mut self, role: Role) -> Result<(), WireError> {
        loop {
            let start = self.reader.position();
            let role = match self.stack.last() {
                None => role,
                Some(Frame { role: Role::Key, .. }) => Role::Key,
                Some(Frame { keys: Some(_), left, .. }) if left % 2 == 0 => Role::Key,
                Some(_) => Role::Value,
            };
            if self.open(start, role)? {
                continue;
            }
            if self.close(start)? {
                return Ok(());
            }
        }
    }

    /// Reads one token; says whether it opened a container whose elements follow.
    fn open(&mut self, start: usize, role: Role) -> Result<bool, WireError> {
        let wrong = |problem| Err(WireError::Msgpack { at: start, problem });
        let token = self.reader.next()?;
        self.nodes += 1;
        if self.nodes > self.limits.nodes {
            return wrong(MsgpackProblem::TooMany);
        }
        let (left, keys) = match token {
            Token::Map(_) if role == Role::Key => return wrong(MsgpackProblem::BadKey),
            Token::F32(value) if role == Role::Key && value.is_nan() => return wrong(MsgpackProblem::BadKey),
            Token::F64(value) if role == Role::Key && value.is_nan() => return wrong(MsgpackProblem::BadKey),
            Token::Ext(kind, data) if kind != TIMESTAMP_TYPE || Timestamp::decode(data).is_none() => {
                return wrong(MsgpackProblem::Extension);
            }
            Token::Array(length) => (u64::from(length), None),
            Token::Map(length) => (2 * u64::from(length), Some(self.keys.len())),
            _ => return Ok(false),
        };
        if self.outside + self.stack.len() >= self.limits.depth {
            return wrong(MsgpackProblem::TooDeep);
        }
        if left > 0 {
            self.stack.push(Frame { start, left, keys, role });
        }
        Ok(left > 0)
    }

    /// Counts a finished value that began at `start`, and the containers it finishes; says whether that was all.
    fn close(&mut self, mut start: usize) -> Result<bool, WireError> {
        while let Some(frame) = self.stack.last_mut() {
            if frame.keys.is_some() && frame.left % 2 == 0 {
                self.keys.push(start..self.reader.position());
            }
            frame.left -= 1;
            if frame.left > 0 {
                return Ok(false);
            }
            start = frame.start;
            let keys = frame.keys;
            self.stack.pop();
            if let Some(first) = keys {
                self.unique(first)?;
                self.keys.truncate(first);
            }
        }
        Ok(true)
    }

    /// Checks that no two of the keys from number `first` on are the same to Python.
    fn unique(&self, first: usize) -> Result<(), WireError> {
        // Up to here comparing each with each is cheaper than sorting.
        const FEW: usize = 8;
        let keys = self.keys.get(first..).unwrap_or_default();
        let spelled = |key: &Range<usize>| canonical_key(self.bytes.get(key.clone()).unwrap_or_default());
        let twice = |at: usize| Err(WireError::Msgpack { at, problem: MsgpackProblem::DuplicateKey });
        if keys.len() <= FEW {
            for (index, key) in keys.iter().enumerate().skip(1) {
                let this = spelled(key);
                if keys.iter().take(index).any(|other| spelled(other) == this) {
                    return twice(key.start);
                }
            }
            return Ok(());
        }
        let mut sorted: Vec<_> = keys.iter().map(|key| (spelled(key), key.start)).collect();
        sorted.sort_unstable();
        for ((this, _), (next, at)) in sorted.iter().zip(sorted.iter().skip(1)) {
            if this == next {
                return twice(*at);
            }
        }
        Ok(())
    }
}
