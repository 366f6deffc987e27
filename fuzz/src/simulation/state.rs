//! Game states as far as a simulation needs them: groups of units, each with a text.

use std::collections::BTreeMap;

use pygase::wire::limits::TO_DELETE_MSGPACK;
use pygase::wire::msgpack::{self, Reader, Token};

/// A state or an update; `None` is what deletes.
pub(super) type State = BTreeMap<String, BTreeMap<u32, Option<String>>>;

/// As msgpack, without a time order.
pub(super) fn pack(state: &State) -> Vec<u8> {
    let mut out = Vec::new();
    msgpack::write_map_len(&mut out, state.len() as u32);
    write_groups(state, &mut out);
    out
}

/// As msgpack, with the number of an update.
pub(super) fn pack_update(state: &State, label: pygase::wire::Sqn) -> Vec<u8> {
    let mut out = Vec::new();
    msgpack::write_map_len(&mut out, state.len() as u32 + 1);
    write_groups(state, &mut out);
    msgpack::write_str(&mut out, "time_order");
    msgpack::write_uint(&mut out, label.value().into());
    out
}

fn write_groups(state: &State, out: &mut Vec<u8>) {
    for (group, units) in state {
        msgpack::write_str(out, group);
        msgpack::write_map_len(out, units.len() as u32);
        for (unit, text) in units {
            msgpack::write_uint(out, u64::from(*unit));
            match text {
                Some(text) => msgpack::write_str(out, text),
                None => out.extend_from_slice(&TO_DELETE_MSGPACK),
            }
        }
    }
}

/// What [`pack`] or [`pack_update`] made, in whatever order it has become.
pub(super) fn unpack(bytes: &[u8]) -> State {
    let mut reader = Reader::new(bytes);
    let mut state = State::new();
    for _ in 0..map(&mut reader) {
        let group = text(&mut reader).expect("a name");
        if group == "time_order" {
            reader.skip().expect("a number");
            continue;
        }
        let units = state.entry(group).or_default();
        for _ in 0..map(&mut reader) {
            let Ok(Token::Uint(unit)) = reader.next() else { panic!("not a unit") };
            units.insert(unit as u32, text(&mut reader));
        }
    }
    state
}

fn map(reader: &mut Reader<'_>) -> u32 {
    let Ok(Token::Map(length)) = reader.next() else { panic!("not a map") };
    length
}

fn text(reader: &mut Reader<'_>) -> Option<String> {
    match reader.next().expect("a value") {
        Token::Str(text) => Some(text.to_owned()),
        Token::Bin(_) => None,
        other => panic!("{other:?} is no text"),
    }
}

/// Merges an update as it is meant.
pub(super) fn merge(state: &mut State, update: &State) {
    for (group, units) in update {
        let known = state.entry(group.clone()).or_default();
        for (unit, text) in units {
            match text {
                Some(_) => drop(known.insert(*unit, text.clone())),
                None => drop(known.remove(unit)),
            }
        }
    }
}

/// Merges an update as the original does: what deletes becomes the value of a unit that is not there.
pub(super) fn merge_as_original(state: &mut State, update: &State) {
    for (group, units) in update {
        let known = state.entry(group.clone()).or_default();
        for (unit, text) in units {
            if text.is_none() && known.remove(unit).is_some() {
                continue;
            }
            known.insert(*unit, text.clone());
        }
    }
}
