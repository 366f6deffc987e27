//! The golden vectors of the released PyGaSe, byte for byte, through the wire layer.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use common::{bitfield, hex, packed, sqn, vectors};
use pygase::wire::msgpack::{self, Limits};
use pygase::wire::{Body, Header, Kind, Package, PackageWriter, Sqn, arithmetic};
use serde_json::Value;

/// A list of events as the vectors hold it, packed event by event.
fn packed_events(field: &Value) -> Vec<Vec<u8>> {
    let list = packed(field);
    let mut reader = msgpack::Reader::new(&list);
    let Ok(msgpack::Token::Array(length)) = reader.next() else { panic!("a list of events") };
    (0..length).map(|_| packed_event(reader.skip().unwrap())).collect()
}

/// An event (type, args, kwargs) as the vectors hold it, packed.
fn packed_event(triple: &[u8]) -> Vec<u8> {
    let mut reader = msgpack::Reader::new(triple);
    assert_eq!(reader.next(), Ok(msgpack::Token::Array(3)));
    let Ok(msgpack::Token::Str(event_type)) = reader.next() else { panic!("an event type") };
    let event_type = event_type.to_owned();
    let args = reader.skip().unwrap();
    msgpack::event(&event_type, args, reader.skip().unwrap())
}

/// The attributes of a state or update with what PyGaSe puts after them.
fn packed_state(data: &Value, game_status: Option<u64>, time_order: Sqn) -> Vec<u8> {
    let data = packed(data);
    let mut reader = msgpack::Reader::new(&data);
    let Ok(msgpack::Token::Map(length)) = reader.next() else { panic!("a map of attributes") };
    let mut out = Vec::new();
    msgpack::write_map_len(&mut out, length + 1 + u32::from(game_status.is_some()));
    out.extend_from_slice(reader.rest());
    if let Some(status) = game_status {
        msgpack::write_str(&mut out, "game_status");
        msgpack::write_uint(&mut out, status);
    }
    msgpack::write_str(&mut out, "time_order");
    msgpack::write_uint(&mut out, time_order.value().into());
    out
}

fn packages(name: &str, kind: Kind, body_of: impl Fn(&Value, &mut Vec<u8>)) {
    for vector in vectors(name) {
        let datagram = hex(&vector["hex"]);
        let recorded = &vector["header"];
        let header = Header {
            sequence: sqn(&recorded[0]),
            ack: sqn(&recorded[1]),
            ack_bitfield: bitfield(&recorded[2]),
        };
        let events = packed_events(&vector["events"]);
        let mut update = Vec::new();
        body_of(&vector, &mut update);
        let body = match kind {
            Kind::Plain => Body::Plain,
            Kind::Client => Body::Client { time_order: sqn(&vector["time_order"]) },
            Kind::Server => Body::Server { update: &update },
        };

        let package = Package::decode(kind, &datagram).unwrap();
        assert_eq!(package.header, header);
        assert_eq!(package.body, body);
        assert!(package.events().eq(events.iter().map(Vec::as_slice)), "{}", vector["events"]);

        let mut written = Vec::new();
        let mut writer = PackageWriter::new(&mut written, header, body).unwrap();
        assert!(events.iter().all(|event| writer.push_event(event, 2048)));
        assert_eq!(writer.size(), datagram.len());
        assert_eq!(written, datagram);

        for cut in 0..datagram.len() {
            let _ = Package::decode(kind, &datagram[..cut]);
        }
    }
}

#[test]
fn plain_packages_are_as_recorded() {
    packages("package", Kind::Plain, |_, _| {});
}

#[test]
fn client_packages_are_as_recorded() {
    packages("client_package", Kind::Client, |_, _| {});
}

#[test]
fn server_packages_are_as_recorded() {
    packages("server_package", Kind::Server, |vector, update| {
        *update = packed_state(&vector["update"], None, sqn(&vector["time_order"]));
    });
}

#[test]
fn events_are_as_recorded() {
    for vector in vectors("event") {
        let bytes = hex(&vector["hex"]);
        assert_eq!(packed_event(&packed(&vector["event"])), bytes);
        assert_eq!(msgpack::check_event(&bytes), Ok(()));
        assert_eq!(msgpack::check(&bytes, Limits::NETWORK), Ok(bytes.len()));
        for cut in 0..bytes.len() {
            assert!(msgpack::check_event(&bytes[..cut]).is_err(), "cut at {cut} of {}", vector["hex"]);
        }
    }
}

#[test]
fn game_states_are_as_recorded() {
    for vector in vectors("game_state") {
        let bytes = hex(&vector["hex"]);
        let time_order = sqn(&vector["time_order"]);
        assert_eq!(packed_state(&vector["data"], vector["game_status"].as_u64(), time_order), bytes);
        assert_eq!(msgpack::check(&bytes, Limits::LOCAL), Ok(bytes.len()));
        assert_eq!(msgpack::update_time_order(&bytes), Ok(time_order));
        for cut in 0..bytes.len() {
            assert!(
                msgpack::check(&bytes[..cut], Limits::LOCAL).is_err(),
                "cut at {cut} of {}",
                vector["hex"]
            );
        }
    }
}

#[test]
fn sequence_numbers_count_as_recorded() {
    let max = i128::from(u16::MAX);
    for vector in vectors("sqn") {
        let (a, b) = (sqn(&vector["a"]), sqn(&vector["b"]));
        let (wide_a, wide_b) = (i128::from(a.value()), i128::from(b.value()));
        assert_eq!(
            arithmetic::add(wide_a, wide_b, max),
            i128::from(vector["add"].as_i64().unwrap()),
            "{vector}"
        );
        assert_eq!(
            arithmetic::sub(wide_a, wide_b, max),
            i128::from(vector["sub"].as_i64().unwrap()),
            "{vector}"
        );
        assert_eq!(arithmetic::newer(wide_a, wide_b, max), vector["gt"], "{vector}");
        assert_eq!(arithmetic::newer(wide_b, wide_a, max), vector["lt"], "{vector}");
        assert_eq!(a.ahead(b.value()), sqn(&vector["add"]), "{vector}");
        assert_eq!(i64::from(a.since(b)), vector["sub"].as_i64().unwrap(), "{vector}");
        assert_eq!(a.newer_than(b), vector["gt"], "{vector}");
        assert_eq!(b.newer_than(a), vector["lt"], "{vector}");
    }
}
