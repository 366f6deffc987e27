use proptest::prelude::*;
use rmpv::Value;

use super::*;
use crate::wire::{Kind, MsgpackProblem, Package, Sqn, WireError};

fn problem(bytes: &[u8]) -> MsgpackProblem {
    match check(bytes, Limits::NETWORK) {
        Err(WireError::Msgpack { problem, .. }) => problem,
        other => panic!("{bytes:02x?}: {other:?}"),
    }
}

#[test]
fn what_is_wrong_with_bytes_is_named() {
    for (bytes, expected) in [
        (&b""[..], MsgpackProblem::Truncated),
        (b"\xa3ab", MsgpackProblem::Truncated),
        (b"\x93\x01\x02", MsgpackProblem::LyingLength),
        (b"\xdf\xff\xff\xff\xff\x01", MsgpackProblem::LyingLength),
        (b"\xc1", MsgpackProblem::Reserved),
        (b"\xa1\xff", MsgpackProblem::Utf8),
        (b"\x82\x01\x02\xc3\x03", MsgpackProblem::DuplicateKey),
        (b"\x81\x80\x01", MsgpackProblem::BadKey),
        (b"\x81\x91\x80\x01", MsgpackProblem::BadKey),
        (b"\x81\xca\x7f\xc0\x00\x00\x01", MsgpackProblem::BadKey),
        (b"\xd6\x01\x00\x00\x00\x00", MsgpackProblem::Extension),
    ] {
        assert_eq!(problem(bytes), expected, "{bytes:02x?}");
    }
}

#[test]
fn bytes_after_the_value_are_ignored() {
    assert_eq!(check(b"\x92\x01\x02\xc1\xc1", Limits::NETWORK), Ok(3));
}

#[test]
fn depth_is_bounded_not_the_stack() {
    assert_eq!(problem(&vec![0x91; 1_000_000]), MsgpackProblem::TooDeep);
    let mut deep = vec![0x91; 99];
    deep.push(0x90);
    assert_eq!(check(&deep, Limits::NETWORK), Ok(100));
    deep.insert(0, 0x91);
    assert_eq!(problem(&deep), MsgpackProblem::TooDeep);
}

#[test]
fn an_event_has_three_parts() {
    let bytes = event("MOVE", b"\x91\x07", b"\x81\xa1x\x01");
    let parts = event_parts(&bytes).unwrap();
    assert_eq!(
        (parts.event_type, parts.args, parts.kwargs),
        ("MOVE", &b"\x91\x07"[..], &b"\x81\xa1x\x01"[..])
    );
    for wrong in [&b"\x80"[..], b"\xc0", &event("A", b"\xc0", b"\x80"), &event("A", b"\x90", b"\x81\x01\x02")]
    {
        assert!(matches!(check_event(wrong), Err(WireError::NotAnEvent(_))), "{wrong:02x?}");
    }
}

#[test]
fn an_update_has_a_time_order() {
    assert_eq!(check_update(b"\x81\xaatime_order\xcd\xff\xff"), Ok(()));
    for wrong in
        [&b"\x80"[..], b"\x81\xaatime_order\xff", b"\x81\xaatime_order\xce\x00\x01\x00\x00", b"\x81\x01\x02"]
    {
        assert!(matches!(check_update(wrong), Err(WireError::NotAnUpdate(_))), "{wrong:02x?}");
    }
}

#[test]
fn timestamps_come_back_from_their_shortest_form() {
    for (form, seconds, nanoseconds) in [
        (&b"\xd6\xff\x5e\x0b\xe1\x00"[..], 1_577_836_800, 0),
        (b"\xd7\xff\xa1\xdc\xd4\x20\x5e\x0d\x5d\xa5", 1_577_934_245, 678_901_000),
        (b"\xc7\x0c\xff\x00\x00\x00\x00\xff\xff\xff\xff\xed\x30\x08\x80", -315_619_200, 0),
        (b"\xc7\x0c\xff\x00\x00\x00\x00\x00\x00\x00\x04\xa0\xfe\x72\x80", 19_880_899_200, 0),
    ] {
        let moment = Timestamp::new(seconds, nanoseconds).unwrap();
        let mut out = Vec::new();
        write_timestamp(&mut out, moment);
        assert_eq!(out, form);
        let Ok(Token::Ext(TIMESTAMP_TYPE, data)) = Reader::new(form).next() else { panic!("{form:02x?}") };
        assert_eq!(Timestamp::decode(data), Some(moment));
        assert_eq!(check(form, Limits::NETWORK), Ok(form.len()));
    }
    assert_eq!(Timestamp::new(253_402_300_800, 0), None);
    assert_eq!(Timestamp::new(-62_135_596_801, 0), None);
    assert_eq!(Timestamp::new(0, 1_000_000_000), None);
    assert_eq!(problem(b"\xd7\xff\xff\xff\xff\xfc\x00\x00\x00\x00"), MsgpackProblem::Extension);
    assert_eq!(problem(b"\xd5\xff\x00\x00"), MsgpackProblem::Extension);
}

#[test]
fn numbers_of_values_are_bounded() {
    let limits = Limits { depth: 100, nodes: 4 };
    assert!(check(b"\x93\x01\x02\x03", limits).is_ok());
    let many = check(b"\x94\x01\x02\x03\x04", limits);
    assert_eq!(many, Err(WireError::Msgpack { at: 4, problem: MsgpackProblem::TooMany }));
}

#[test]
fn equal_keys_have_one_spelling() {
    let same: [&[&[u8]]; 8] = [
        &[
            b"\x01",
            b"\xc3",
            b"\xcc\x01",
            b"\xd0\x01",
            b"\xd3\0\0\0\0\0\0\0\x01",
            b"\xca\x3f\x80\0\0",
            b"\xcb\x3f\xf0\0\0\0\0\0\0",
        ],
        &[b"\0", b"\xc2", b"\xca\x80\0\0\0", b"\xcb\x80\0\0\0\0\0\0\0"],
        &[b"\xff", b"\xd0\xff", b"\xcb\xbf\xf0\0\0\0\0\0\0"],
        &[b"\xca\x3f\0\0\0", b"\xcb\x3f\xe0\0\0\0\0\0\0"],
        &[b"\xca\x7f\x80\0\0", b"\xcb\x7f\xf0\0\0\0\0\0\0"],
        &[b"\xa1a", b"\xd9\x01a", b"\xda\0\x01a"],
        &[b"\x92\x01\x90", b"\xdc\0\x02\xc3\xdc\0\0"],
        // A datetime has no nanoseconds.
        &[b"\xd6\xff\0\0\0\x01", b"\xd7\xff\0\0\x0f\0\0\0\0\x01"],
    ];
    for group in same {
        assert!(matches!(canonical_key(group[0]), std::borrow::Cow::Borrowed(_)), "{:02x?}", group[0]);
        for key in group {
            assert_eq!(*canonical_key(key), *group[0], "{key:02x?}");
        }
    }
    // 2^53 + 1 is no double; 2^64 as a float is no integer of 64 bits.
    assert_ne!(canonical_key(b"\xcf\0\x20\0\0\0\0\0\x01"), canonical_key(b"\xcb\x43\x40\0\0\0\0\0\0"));
    assert_eq!(*canonical_key(b"\xcb\x43\xf0\0\0\0\0\0\0"), *b"\xca\x5f\x80\0\0");
    assert_ne!(canonical_key(b"\xa1a"), canonical_key(b"\xc4\x01a"));
    assert_eq!(*canonical_key(b"\xc1 not msgpack"), *b"\xc1 not msgpack");
}

#[test]
fn duplicates_are_found_among_many_keys() {
    for (count, keys) in [(300u16, 300u16), (9, 9), (8, 8), (2, 2)] {
        let mut map = vec![0xde];
        map.extend_from_slice(&count.to_be_bytes());
        for key in 0..keys {
            map.extend_from_slice(&[0xcd]);
            map.extend_from_slice(&key.to_be_bytes());
            map.push(0xc0);
        }
        assert_eq!(check(&map, Limits::NETWORK), Ok(map.len()));
        // The last key becomes another spelling of the first.
        let last = map.len() - 4;
        map.splice(last..last + 3, [0xc2]);
        assert_eq!(problem(&map), MsgpackProblem::DuplicateKey, "{count}");
    }
}

#[test]
fn keys_of_nested_maps_are_their_own() {
    // {1: {1: 0, 2: 0}, 2: {1: 0}} and {(1, 2): 0, (1,): 0}
    assert!(check(b"\x82\x01\x82\x01\0\x02\0\x02\x81\x01\0", Limits::NETWORK).is_ok());
    assert!(check(b"\x82\x92\x01\x02\0\x91\x01\0", Limits::NETWORK).is_ok());
    assert_eq!(problem(b"\x82\x92\x01\x02\0\x92\xc3\x02\0"), MsgpackProblem::DuplicateKey);
    assert_eq!(problem(b"\x82\x01\x82\x01\0\x01\0\x02\0"), MsgpackProblem::DuplicateKey);
    assert_eq!(problem(b"\x82\x01\x81\x01\0\x01\0"), MsgpackProblem::DuplicateKey);
    let again = event("A", b"\x90", b"\x82\xa1x\x01\xd9\x01x\x02");
    assert!(matches!(
        check_event(&again),
        Err(WireError::Msgpack { problem: MsgpackProblem::DuplicateKey, .. })
    ));
}

#[test]
fn unknown_fields_of_an_event_are_ignored_and_checked() {
    let mut bytes = event("A", b"\x90", b"\x80");
    bytes[0] = 0x84;
    bytes.extend_from_slice(b"\xa1~\xcd\x01\x02");
    assert_eq!(check_event(&bytes), Ok(()));
    let end = bytes.len() - 3;
    bytes.splice(end.., [0xc1]);
    assert!(check_event(&bytes).is_err());
}

#[test]
fn an_event_is_as_deep_as_any_value() {
    let nested = |depth: usize| {
        let mut args = vec![0x91; depth - 1];
        args.push(0x90);
        event("A", &args, b"\x80")
    };
    for depth in [98, 99, 100] {
        let bytes = nested(depth);
        assert_eq!(check_event(&bytes).is_ok(), check(&bytes, Limits::NETWORK).is_ok(), "{depth}");
    }
    assert!(check_event(&nested(99)).is_ok());
    assert!(check_event(&nested(100)).is_err());
}

#[test]
fn a_fixed_time_order_can_be_patched_at_its_end() {
    let mut out = vec![0x81];
    write_time_order_fixed(&mut out, Sqn::new(0x0102));
    assert_eq!(out, b"\x81\xaatime_order\xcd\x01\x02");
    assert_eq!(update_time_order(&out), Ok(Sqn::new(0x0102)));
}

#[test]
fn a_time_order_is_found_wherever_it_is_and_whatever_else_is_there() {
    let last = b"\x82\xa1x\x92\x01\x81\xaatime_order\x09\xaatime_order\xcd\x01\x02";
    let first = b"\x82\xaatime_order\x07\xa1x\xc1";
    assert_eq!(peek_time_order(last), Ok(Sqn::new(0x0102)));
    assert_eq!(update_time_order(last), Ok(Sqn::new(0x0102)));
    assert_eq!(peek_time_order(first), Ok(Sqn::new(7)));
    assert!(update_time_order(first).is_err());
    for none in
        [&b"\x80"[..], b"\x01", b"", b"\x81\xaatime_order\xa1x", b"\x81\xaatime_order\xce\x00\x01\x00\x00"]
    {
        assert!(peek_time_order(none).is_err(), "{none:?}");
    }
}

/// The value that the tokens stand for.
fn value(reader: &mut Reader<'_>) -> Result<Value, WireError> {
    Ok(match reader.next()? {
        Token::Nil => Value::Nil,
        Token::Bool(value) => value.into(),
        Token::Uint(value) => value.into(),
        Token::Int(value) => value.into(),
        Token::F32(value) => Value::F32(value),
        Token::F64(value) => Value::F64(value),
        Token::Str(value) => value.into(),
        Token::Bin(value) => Value::Binary(value.into()),
        Token::Array(length) => {
            Value::Array((0..length).map(|_| self::value(reader)).collect::<Result<_, _>>()?)
        }
        Token::Map(length) => Value::Map(
            (0..length)
                .map(|_| Ok((self::value(reader)?, self::value(reader)?)))
                .collect::<Result<_, WireError>>()?,
        ),
        Token::Ext(kind, data) => Value::Ext(kind, data.into()),
    })
}

/// Writes a value as PyGaSe does.
fn write(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Nil => write_nil(out),
        Value::Boolean(value) => write_bool(out, *value),
        Value::Integer(value) => match (value.as_u64(), value.as_i64()) {
            (Some(value), _) => write_uint(out, value),
            (None, Some(value)) => write_int(out, value),
            (None, None) => unreachable!(),
        },
        Value::F32(value) => write_f32(out, *value),
        Value::F64(value) => write_f64(out, *value),
        Value::String(value) => write_str(out, value.as_str().unwrap()),
        Value::Binary(value) => write_bin(out, value),
        Value::Array(values) => {
            write_array_len(out, values.len() as u32);
            for value in values {
                write(out, value);
            }
        }
        Value::Map(values) => {
            write_map_len(out, values.len() as u32);
            for (key, value) in values {
                write(out, key);
                write(out, value);
            }
        }
        Value::Ext(_, data) => write_timestamp(out, Timestamp::decode(data).unwrap()),
    }
}

fn scalars() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Nil),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0..300i64).prop_map(|value| Value::from(value - 150)),
        any::<u64>().prop_map(Value::from),
        any::<f32>().prop_filter("NaN is not itself", |value| !value.is_nan()).prop_map(Value::F32),
        any::<f64>().prop_filter("NaN is not itself", |value| !value.is_nan()).prop_map(Value::F64),
        ".{0,40}".prop_map(Value::from),
        proptest::collection::vec(any::<u8>(), 0..20).prop_map(Value::Binary),
        any::<[u8; 4]>().prop_map(|data| Value::Ext(TIMESTAMP_TYPE, data.into())),
    ]
}

fn values() -> impl Strategy<Value = Value> {
    scalars().prop_recursive(4, 24, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..18).prop_map(Value::Array),
            proptest::collection::btree_map("[a-zß漢]{0,3}", inner, 0..18).prop_map(|map| Value::Map(
                map.into_iter().map(|(key, value)| (key.into(), value)).collect()
            )),
        ]
    })
}

/// Bytes that are more often nearly msgpack than not.
fn nearly_msgpack() -> impl Strategy<Value = Vec<u8>> {
    let damaged = (values(), any::<proptest::sample::Index>(), any::<u8>()).prop_map(|(value, at, byte)| {
        let mut bytes = Vec::new();
        write(&mut bytes, &value);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        bytes
    });
    prop_oneof![proptest::collection::vec(any::<u8>(), 0..200), damaged]
}

proptest! {
    #[test]
    fn values_are_read_and_written_as_by_rmpv(expected in values(), cut in any::<proptest::sample::Index>()) {
        let mut theirs = Vec::new();
        rmpv::encode::write_value(&mut theirs, &expected).unwrap();
        let mut ours = Vec::new();
        write(&mut ours, &expected);
        prop_assert_eq!(&ours, &theirs);
        prop_assert_eq!(check(&ours, Limits::LOCAL), Ok(ours.len()));
        let mut reader = Reader::new(&ours);
        prop_assert_eq!(value(&mut reader).unwrap(), expected);
        prop_assert_eq!(reader.position(), ours.len());
        prop_assert_eq!(Reader::new(&ours).skip().unwrap(), &ours[..]);
        let cut = &ours[..cut.index(ours.len())];
        prop_assert!(check(cut, Limits::LOCAL).is_err());
        prop_assert!(Reader::new(cut).skip().is_err());
    }

    #[test]
    fn any_bytes_are_a_value_or_an_error(bytes in nearly_msgpack()) {
        let _ = (check_event(&bytes), check_update(&bytes), canonical_key(&bytes));
        let skipped = Reader::new(&bytes).skip().map(<[u8]>::len);
        if let Ok(length) = check(&bytes, Limits::NETWORK) {
            prop_assert_eq!(skipped, Ok(length));
            let theirs = rmpv::decode::read_value(&mut &bytes[..length]).unwrap();
            let ours = value(&mut Reader::new(&bytes)).unwrap();
            // By their text: NaN is not equal to itself.
            prop_assert_eq!(format!("{ours:?}"), format!("{theirs:?}"));
        }
    }

    #[test]
    fn packages_of_any_bytes_are_a_package_or_an_error(
        sane in any::<bool>(),
        mut bytes in proptest::collection::vec(any::<u8>(), 0..400),
        inside in nearly_msgpack(),
    ) {
        if sane {
            bytes.truncate(12);
            bytes.splice(..bytes.len().min(4), crate::wire::PROTOCOL_ID);
            bytes.extend_from_slice(&(inside.len() as u16).to_be_bytes());
            bytes.extend_from_slice(&inside);
        }
        for kind in [Kind::Plain, Kind::Client, Kind::Server] {
            if let Ok(package) = Package::decode(kind, &bytes) {
                prop_assert!(package.events().all(|event| check_event(event).is_ok()));
            }
        }
    }

    #[test]
    fn a_float_key_is_an_integer_key_where_they_are_equal(number in any::<i64>(), small in -1000i64..1000) {
        for number in [number, small] {
            let (mut as_int, mut as_float) = (Vec::new(), Vec::new());
            write_int(&mut as_int, number);
            let float = number as f64;
            write_f64(&mut as_float, float);
            let equal = i128::from(number) == float as i128;
            prop_assert_eq!(canonical_key(&as_int) == canonical_key(&as_float), equal);
        }
    }

    #[test]
    fn a_spelling_is_its_own_spelling(bytes in nearly_msgpack()) {
        let once = canonical_key(&bytes).into_owned();
        prop_assert_eq!(&*canonical_key(&once), &once[..]);
    }
}
