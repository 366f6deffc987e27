//! Game states as plain dictionaries, merged by the rules of the original.

use std::collections::BTreeMap;

use pygase::wire::limits::TO_DELETE_MSGPACK;
use pygase::wire::msgpack::{self, Reader, Token};

/// A dictionary by encoded key.
pub(crate) type Dict = BTreeMap<Key, Value>;

/// An encoded key.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key(pub(crate) Vec<u8>);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&readable(&self.0))
    }
}

/// A map, or anything else as msgpack.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// A map.
    Map(Dict),
    /// Anything else.
    Leaf(Vec<u8>),
}

impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Map(dict) => dict.fmt(f),
            Self::Leaf(bytes) => f.write_str(&readable(bytes)),
        }
    }
}

fn readable(bytes: &[u8]) -> String {
    if bytes == TO_DELETE_MSGPACK {
        return "DELETE".into();
    }
    Reader::new(bytes).next().map_or("?".into(), |token| format!("{token:?}"))
}

/// The marker that deletes.
pub(crate) fn marker() -> Value {
    Value::Leaf(TO_DELETE_MSGPACK.to_vec())
}

/// Reads a state or update; the time order is left out.
pub(crate) fn parse(bytes: &[u8]) -> Dict {
    let Value::Map(mut dict) = value(&mut Reader::new(bytes)) else { panic!("not a map: {bytes:02x?}") };
    dict.remove(&Key(b"\xaatime_order".to_vec()));
    dict
}

fn value(reader: &mut Reader) -> Value {
    let start = reader.clone();
    let Token::Map(count) = reader.next().unwrap() else {
        *reader = start;
        return Value::Leaf(reader.skip().unwrap().to_vec());
    };
    let mut dict = Dict::new();
    for _ in 0..count {
        let key = Key(reader.skip().unwrap().to_vec());
        assert!(dict.insert(key, value(reader)).is_none(), "a key twice");
    }
    Value::Map(dict)
}

/// As msgpack.
pub(crate) fn pack(dict: &Dict) -> Vec<u8> {
    let mut out = Vec::new();
    write(dict, &mut out);
    out
}

fn write(dict: &Dict, out: &mut Vec<u8>) {
    msgpack::write_map_len(out, dict.len() as u32);
    for (key, value) in dict {
        out.extend_from_slice(&key.0);
        match value {
            Value::Map(dict) => write(dict, out),
            Value::Leaf(bytes) => out.extend_from_slice(bytes),
        }
    }
}

/// As the original merges: a marker for a key that is not there becomes its value.
pub(crate) fn merge_as_original(state: &mut Dict, update: &Dict) {
    for (key, new) in update {
        match (state.get_mut(key), new) {
            (Some(_), new) if *new == marker() => drop(state.remove(key)),
            (Some(Value::Map(old)), Value::Map(new)) => merge_as_original(old, new),
            _ => drop(state.insert(key.clone(), new.clone())),
        }
    }
}

/// As it is meant: a marker for a key that is not there does nothing.
pub(crate) fn merge(state: &mut Dict, update: &Dict) {
    for (key, new) in update {
        match new {
            new if *new == marker() => drop(state.remove(key)),
            Value::Leaf(_) => drop(state.insert(key.clone(), new.clone())),
            Value::Map(new) => {
                let old = state.entry(key.clone()).or_insert(Value::Leaf(Vec::new()));
                if let Value::Leaf(_) = old {
                    *old = Value::Map(Dict::new());
                }
                let Value::Map(old) = old else { unreachable!() };
                merge(old, new);
            }
        }
    }
}
