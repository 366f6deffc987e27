//! Valid values, events, updates and packages, and how to damage them.

use pygase::wire::{Body, Header, Kind, PackageWriter, Sqn, msgpack};

use crate::input::Input;

/// Bytes with a meaning to some decoder.
const TELLING: &[u8] = &[
    0x00, 0x01, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xc4, 0xc6, 0xc7, 0xc9, 0xca,
    0xcb, 0xcc, 0xcf, 0xd0, 0xd3, 0xd4, 0xd6, 0xd7, 0xd8, 0xd9, 0xdb, 0xdc, 0xdd, 0xde, 0xdf, 0xe0, 0xff,
];
/// Numbers at which something changes.
const EDGES: &[u16] = &[0, 1, 31, 32, 33, 127, 128, 255, 256, 2017, 2048, 32767, 32768, 40000, 65534, 65535];
const WORDS: &[&str] = &[
    "",
    "x",
    "hp",
    "type",
    "handler_args",
    "handler_kwargs",
    "time_order",
    "game_status",
    "größe",
    "players",
];

/// A sequence number, often one at which something changes.
pub fn sqn(input: &mut Input<'_>) -> Sqn {
    let number = if input.one_in(2) { input.u16() } else { input.pick(EDGES) };
    Sqn::new(number)
}

/// Appends a key of a map: never a map, never a NaN.
pub fn key(input: &mut Input<'_>, out: &mut Vec<u8>) {
    match input.below(8) {
        0..4 => msgpack::write_str(out, input.pick(WORDS)),
        4 => msgpack::write_uint(out, input.u8().into()),
        5 => msgpack::write_f32(out, f32::from(input.u8())),
        6 => msgpack::write_bin(out, input.bytes(5)),
        _ => {
            msgpack::write_array_len(out, 2);
            msgpack::write_int(out, i64::from(input.u8().cast_signed()));
            msgpack::write_nil(out);
        }
    }
}

/// Appends a value nested at most `depth` deep, not always in the smallest form.
pub fn value(input: &mut Input<'_>, depth: usize, out: &mut Vec<u8>) {
    let kinds = if depth == 0 { 12 } else { 15 };
    match input.below(kinds) {
        0 => msgpack::write_nil(out),
        1 => msgpack::write_bool(out, input.one_in(2)),
        2 => msgpack::write_uint(out, input.u64() >> input.below(64)),
        3 => msgpack::write_int(out, input.u64().cast_signed() >> input.below(64)),
        4 => msgpack::write_f32(out, f32::from_bits(input.u64() as u32)),
        5 => msgpack::write_f64(out, f64::from_bits(input.u64())),
        6 => msgpack::write_str(out, input.pick(WORDS)),
        7 => msgpack::write_bin(out, input.bytes(40)),
        8 => {
            let at =
                msgpack::Timestamp::new(i64::from(input.u16()) << input.below(24), u32::from(input.u16()));
            match at {
                Some(at) => msgpack::write_timestamp(out, at),
                None => msgpack::write_nil(out),
            }
        }
        // Forms that are too wide.
        9 => out.extend([0xd1, input.u8(), input.u8()]),
        10 => out.extend([0xda, 0, 1, b'w']),
        11 => out.extend_from_slice(&pygase::wire::limits::TO_DELETE_MSGPACK),
        12 => {
            let length = input.below(5);
            msgpack::write_array_len(out, length as u32);
            (0..length).for_each(|_| value(input, depth - 1, out));
        }
        13 => {
            let length = input.below(5);
            msgpack::write_map_len(out, length as u32);
            for _ in 0..length {
                key(input, out);
                value(input, depth - 1, out);
            }
        }
        _ => {
            let many = input.below(120) as u32;
            out.extend([0xdc, 0, many as u8]);
            out.extend(std::iter::repeat_n(0x07, many as usize));
        }
    }
}

/// Appends an event, rarely one with a field missing or of the wrong kind.
pub fn event(input: &mut Input<'_>, out: &mut Vec<u8>) {
    if input.one_in(16) {
        return value(input, 3, out);
    }
    let mut args = Vec::new();
    let count = input.below(4);
    msgpack::write_array_len(&mut args, count as u32);
    (0..count).for_each(|_| value(input, 2, &mut args));
    let mut kwargs = Vec::new();
    let word = input.pick(WORDS);
    msgpack::write_map_len(&mut kwargs, 1);
    msgpack::write_str(&mut kwargs, word);
    value(input, 1, &mut kwargs);
    out.extend(msgpack::event(input.pick(WORDS), &args, if input.one_in(2) { &kwargs } else { &[0x80] }));
}

/// Appends a game state update, rarely one without a time order.
pub fn update(input: &mut Input<'_>, out: &mut Vec<u8>) {
    const ATTRIBUTES: &[&str] = &["x", "players", "units", "world"];
    let count = input.below(4);
    let labelled = !input.one_in(16);
    msgpack::write_map_len(out, (count + usize::from(labelled)) as u32);
    let first = input.below(ATTRIBUTES.len());
    for index in 0..count {
        msgpack::write_str(out, ATTRIBUTES[(first + index) % ATTRIBUTES.len()]);
        value(input, 3, out);
    }
    if labelled {
        let label = sqn(input);
        match input.below(4) {
            0 => msgpack::write_time_order_fixed(out, label),
            form => {
                msgpack::write_str(out, pygase::wire::limits::TIME_ORDER_KEY);
                msgpack::write_label(out, label, form == 1);
            }
        }
    }
}

/// A header whose numbers lie near `near`.
pub fn header(input: &mut Input<'_>, near: (Sqn, Sqn)) -> Header {
    let mut number = |near: Sqn| match input.below(4) {
        0 => sqn(input),
        _ => near.ahead(u16::from(input.u8() % 48)),
    };
    let (sequence, ack) = (number(near.0), number(near.1));
    let ack_bitfield = if input.one_in(2) { u32::MAX } else { input.u64() as u32 };
    Header { sequence, ack, ack_bitfield }
}

/// A package of that kind, damaged as `input` says.
pub fn package(input: &mut Input<'_>, kind: Kind, near: (Sqn, Sqn)) -> Vec<u8> {
    let mut state = Vec::new();
    let body = match kind {
        Kind::Plain => Body::Plain,
        Kind::Client => Body::Client { time_order: sqn(input) },
        Kind::Server => {
            update(input, &mut state);
            Body::Server { update: &state }
        }
    };
    let mut out = Vec::new();
    let header = header(input, near);
    if let Ok(mut writer) = PackageWriter::new(&mut out, header, body) {
        for _ in 0..input.below(4) {
            let mut bytes = Vec::new();
            event(input, &mut bytes);
            writer.push_event(&bytes, 2048);
        }
    }
    out
}

/// Damages bytes in up to three places.
pub fn damage(input: &mut Input<'_>, bytes: &mut Vec<u8>) {
    for _ in 0..input.below(4) {
        if bytes.is_empty() {
            return;
        }
        let at = input.below(bytes.len().min(65_536));
        match input.below(8) {
            0 => bytes[at] ^= 1 << input.below(8),
            1 => bytes[at] = input.pick(TELLING),
            2 => bytes[at] = input.u8(),
            3 => bytes.insert(at, input.pick(TELLING)),
            4 => drop(bytes.drain(at..(at + 1 + input.below(8)).min(bytes.len()))),
            5 => bytes.truncate(at),
            6 => {
                let piece = bytes[at..(at + 1 + input.below(32)).min(bytes.len())].to_vec();
                bytes.splice(at..at, piece);
            }
            _ => {
                if let Some(pair) = bytes.get_mut(at..at + 2) {
                    pair.copy_from_slice(&input.pick(EDGES).to_be_bytes());
                }
            }
        }
    }
}
