//! The golden vectors recorded from the released PyGaSe, for every test that compares with them.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test that panics has failed")]
#![allow(dead_code, reason = "each test binary uses its own part of this")]

pub(crate) mod literal;

use serde_json::Value;

/// All golden vectors of a kind; see `tests/vectors/README.md`.
pub(crate) fn vectors(kind: &str) -> Vec<Value> {
    let lines = include_str!("../vectors/pygase-0.3.1.jsonl").lines();
    let all = lines.filter(|line| !line.is_empty()).map(|line| serde_json::from_str::<Value>(line).unwrap());
    let found: Vec<_> = all.filter(|vector| vector["kind"] == kind).collect();
    assert!(!found.is_empty(), "no vectors of kind {kind}");
    found
}

/// The bytes that a field holds as hex.
pub(crate) fn hex(field: &Value) -> Vec<u8> {
    let text = field.as_str().expect("hex is text");
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex digits");
    (0..text.len()).step_by(2).map(byte).collect()
}

/// The msgpack of a field that holds a Python literal.
pub(crate) fn packed(field: &Value) -> Vec<u8> {
    literal::pack(field.as_str().expect("a literal is text"))
}

/// A sequence number in a field.
pub(crate) fn sqn(field: &Value) -> pygase::wire::Sqn {
    pygase::wire::Sqn::new(
        field.as_u64().and_then(|number| u16::try_from(number).ok()).expect("a number of two bytes"),
    )
}

/// A bitfield as the vectors hold it: 32 characters `0` and `1`.
pub(crate) fn bitfield(field: &Value) -> u32 {
    u32::from_str_radix(field.as_str().expect("a bitfield is text"), 2).expect("zeros and ones")
}
