use super::*;
use crate::wire::WireError;
use crate::wire::error::MsgpackProblem;

fn problem(bytes: &[u8]) -> MsgpackProblem {
    match check(bytes, Limits::NETWORK) {
        Err(WireError::Msgpack { problem, .. }) => problem,
        other => panic!("{bytes:02x?}: {other:?}"),
    }
}

#[test]
fn problems() {
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
