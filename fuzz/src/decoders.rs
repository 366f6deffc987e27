//! A body for each decoder: whatever the bytes, a value or an error, never more; and what it is must be right.

use pygase::state::{Replica, Store};
use pygase::wire::msgpack::{self, Limits, Reader, Token};
use pygase::wire::{
    Body as Layout, HEADER_SIZE, Header, Kind, MsgpackProblem, Package, PackageWriter, Sqn, WireError,
};
use rmpv::Value;
use std::time::Duration;

use crate::Body;
use crate::allocation::limited;
use crate::generate;
use crate::input::Input;

/// All of them.
pub const ALL: &[Body] = &[
    Body { name: "header", run: header, sample: |random| package_sample(random, Kind::Plain) },
    Body { name: "plain_package", run: plain_package, sample: |random| package_sample(random, Kind::Plain) },
    Body {
        name: "client_package",
        run: client_package,
        sample: |random| package_sample(random, Kind::Client),
    },
    Body {
        name: "server_package",
        run: server_package,
        sample: |random| package_sample(random, Kind::Server),
    },
    Body {
        name: "value",
        run: value,
        sample: |random| sample(random, |input, out| generate::value(input, 4, out)),
    },
    Body { name: "key", run: key, sample: |random| sample(random, generate::key) },
    Body { name: "event", run: event, sample: |random| sample(random, generate::event) },
    Body { name: "update", run: update, sample: |random| sample(random, generate::update) },
];

/// Random bytes, something valid, or (mostly) something valid that was damaged.
fn sample(random: &mut fastrand::Rng, valid: fn(&mut Input<'_>, &mut Vec<u8>)) -> Vec<u8> {
    let mut choices = [0; 256];
    random.fill(&mut choices);
    let mut input = Input::new(&choices);
    let mut bytes = Vec::new();
    match input.below(16) {
        0 => bytes.extend_from_slice(input.bytes(200)),
        kind => {
            valid(&mut input, &mut bytes);
            if kind > 4 {
                generate::damage(&mut Input::new(&choices[192..]), &mut bytes);
            }
        }
    }
    bytes
}

fn package_sample(random: &mut fastrand::Rng, kind: Kind) -> Vec<u8> {
    let mut bytes = sample(
        random,
        match kind {
            Kind::Plain => |input, out| *out = generate::package(input, Kind::Plain, (Sqn::ZERO, Sqn::ZERO)),
            Kind::Client => {
                |input, out| *out = generate::package(input, Kind::Client, (Sqn::ZERO, Sqn::ZERO))
            }
            Kind::Server => {
                |input, out| *out = generate::package(input, Kind::Server, (Sqn::ZERO, Sqn::ZERO))
            }
        },
    );
    // Most damage to the first four bytes ends everything: half of the time they are put right.
    if random.bool()
        && let Some(id) = bytes.get_mut(..4)
    {
        id.copy_from_slice(&pygase::wire::PROTOCOL_ID);
    }
    bytes
}

/// [`Header::decode`]: what was read is written as it was.
pub fn header(bytes: &[u8]) {
    if let Ok((header, rest)) = limited(|| Header::decode(bytes)) {
        assert_eq!(header.encode(), bytes[..HEADER_SIZE]);
        assert_eq!(rest, &bytes[HEADER_SIZE..]);
    } else {
        assert!(bytes.len() < HEADER_SIZE || !bytes.starts_with(&pygase::wire::PROTOCOL_ID));
    }
}

/// [`Package::decode`] of a package without a role.
pub fn plain_package(bytes: &[u8]) {
    package(Kind::Plain, bytes);
}

/// [`Package::decode`] of a client's package.
pub fn client_package(bytes: &[u8]) {
    package(Kind::Client, bytes);
}

/// [`Package::decode`] of a server's package.
pub fn server_package(bytes: &[u8]) {
    package(Kind::Server, bytes);
}

/// What was read is written as it was, and everything in it stands the check by itself.
fn package(kind: Kind, bytes: &[u8]) {
    let Ok(package) = limited(|| Package::decode(kind, bytes)) else { return };
    assert!(bytes.len() <= pygase::wire::limits::MAX_DATAGRAM);
    if let Layout::Server { update } = package.body {
        msgpack::check_update(update).expect("a checked update");
    }
    let mut again = Vec::new();
    let mut writer =
        PackageWriter::new(&mut again, package.header, package.body).expect("what was a package");
    for event in package.events() {
        msgpack::check_event(event).expect("a checked event");
        assert!(writer.push_event(event, usize::MAX));
    }
    assert_eq!(again, bytes);
}

/// [`msgpack::check`] and [`Reader`] beside rmpv: what is accepted is the same value, what is refused is either
/// refused there too or for a reason that rmpv does not know.
pub fn value(bytes: &[u8]) {
    let checked = limited(|| msgpack::check(bytes, Limits::NETWORK));
    let mut rest = bytes;
    let theirs = rmpv::decode::read_value(&mut rest);
    match checked {
        Ok(length) => {
            let theirs = theirs.expect("what was accepted is msgpack");
            assert_eq!(bytes.len() - rest.len(), length, "as long as rmpv has it");
            let mut reader = Reader::new(&bytes[..length]);
            assert!(same(&mut reader, &theirs), "{theirs} was read as something else");
            assert!(reader.rest().is_empty());
            assert_eq!(Reader::new(bytes).skip().expect("a value"), &bytes[..length]);
            // Longer by anything, it is still the same; shorter by anything, it is nothing.
            assert!(length == 0 || msgpack::check(&bytes[..length - 1], Limits::NETWORK).is_err());
        }
        Err(WireError::Msgpack { at, problem }) => {
            assert!(at <= bytes.len());
            let known_to_both = matches!(problem, MsgpackProblem::Truncated);
            assert!(!known_to_both || theirs.is_err(), "{problem}: {theirs:?}");
        }
        Err(other) => panic!("{other} is not about msgpack"),
    }
}

/// Whether the tokens are those of the value.
fn same(reader: &mut Reader<'_>, value: &Value) -> bool {
    match (reader.next().expect("a checked token"), value) {
        (Token::Nil, Value::Nil) => true,
        (Token::Bool(ours), Value::Boolean(theirs)) => ours == *theirs,
        (Token::Uint(ours), Value::Integer(theirs)) => theirs.as_u64() == Some(ours),
        (Token::Int(ours), Value::Integer(theirs)) => theirs.as_i64() == Some(ours),
        (Token::F32(ours), Value::F32(theirs)) => ours.to_bits() == theirs.to_bits(),
        (Token::F64(ours), Value::F64(theirs)) => ours.to_bits() == theirs.to_bits(),
        (Token::Str(ours), Value::String(theirs)) => theirs.as_str() == Some(ours),
        (Token::Bin(ours), Value::Binary(theirs)) => ours == theirs,
        (Token::Ext(kind, ours), Value::Ext(their_kind, theirs)) => kind == *their_kind && ours == theirs,
        (Token::Array(length), Value::Array(theirs)) => {
            length as usize == theirs.len() && theirs.iter().all(|value| same(reader, value))
        }
        (Token::Map(length), Value::Map(theirs)) => {
            length as usize == theirs.len()
                && theirs.iter().all(|(key, value)| same(reader, key) && same(reader, value))
        }
        _ => false,
    }
}

/// [`msgpack::canonical_key`]: one spelling, which is its own.
pub fn key(bytes: &[u8]) {
    let spelled = limited(|| msgpack::canonical_key(bytes)).into_owned();
    assert_eq!(*msgpack::canonical_key(&spelled), *spelled);
    if msgpack::check(bytes, Limits::NETWORK) == Ok(bytes.len())
        && !matches!(bytes, [0x80..=0x8f | 0xde | 0xdf, ..])
    {
        assert_eq!(msgpack::check(&spelled, Limits::NETWORK), Ok(spelled.len()), "still a value");
    }
}

/// [`msgpack::event_parts`] beside rmpv: an event is a map with these three fields, of these types.
pub fn event(bytes: &[u8]) {
    let Ok(parts) = limited(|| msgpack::event_parts(bytes)) else { return };
    assert_eq!(limited(|| msgpack::check_event(bytes)), Ok(()));
    let theirs = rmpv::decode::read_value(&mut &bytes[..]).expect("an event is msgpack");
    let field = |name: &str| {
        let mut fields = theirs.as_map().expect("an event is a map").iter();
        fields.find(|(key, _)| key.as_str() == Some(name)).map(|(_, value)| value).expect("a field")
    };
    assert_eq!(field("type").as_str(), Some(parts.event_type));
    assert!(field("handler_args").is_array() && field("handler_kwargs").is_map());
    assert!(same(&mut Reader::new(parts.args), field("handler_args")));
    assert!(same(&mut Reader::new(parts.kwargs), field("handler_kwargs")));
}

/// [`msgpack::update_label`], a replica that takes the update and a store that is pushed it: taken whole or not at
/// all, never twice, and what comes out is msgpack.
pub fn update(bytes: &[u8]) {
    let label = limited(|| msgpack::update_label(bytes));
    let mut replica = Replica::new();
    let taken = limited(|| replica.apply(bytes));
    let Ok((label, _)) = label else {
        assert!(taken.is_err());
        assert_eq!(replica.time_order(), Sqn::ZERO);
        assert!(replica.pull().is_none());
        return;
    };
    assert_eq!(taken, Ok(label != Sqn::ZERO));
    assert_eq!(replica.time_order(), label);
    assert_eq!(replica.apply(bytes), Ok(false), "the same one is not newer");
    if let Some(pulled) = replica.pull() {
        let length = msgpack::check(&pulled.update, Limits::LOCAL).expect("what the game gets is msgpack");
        assert_eq!(length, pulled.update.len());
    }
    let mut store = Store::new(Sqn::new(1), &[0x80]).expect("an empty state");
    if limited(|| store.push(Duration::ZERO, Sqn::new(2), bytes)).is_ok() {
        let state = store.tree().to_msgpack();
        assert_eq!(msgpack::check(&state, Limits::LOCAL), Ok(state.len()));
    }
}
