//! What a client merges into its copy of the state, and what comes too late for it.

use super::*;

/// What the client sends next: its header and the label it reports.
fn turn(client: &mut ClientConnection, ms: u32) -> (Header, Sqn) {
    let mut out = Vec::new();
    client.handle_timeout(MS * ms);
    assert!(client.poll_transmit(MS * ms, &mut out));
    let Package { header, body: Body::Client { time_order }, .. } =
        Package::decode(Kind::Client, &out).unwrap()
    else {
        panic!("of a client")
    };
    (header, time_order)
}

fn package(sequence: u16, ack: Sqn, ack_bitfield: u32, state: &serde_json::Value) -> Vec<u8> {
    let header = Header { sequence: Sqn::new(sequence), ack, ack_bitfield };
    let mut out = Vec::new();
    PackageWriter::new(&mut out, header, Body::Server { update: &encode(state) }).unwrap();
    out
}

#[test]
fn what_was_made_for_the_copy_given_up_is_neither_merged_nor_acknowledged() {
    let mut client = ClientConnection::default();
    client.connect(Duration::ZERO);
    let asked = turn(&mut client, 0).0.sequence;
    let whole = serde_json::json!({"a": 1, "time_order": 5});
    client.handle_datagram(MS, &package(100, asked, super::super::HELLO, &whole));
    let (header, time_order) = turn(&mut client, 100);
    assert_eq!((header.ack, time_order), (Sqn::new(100), Sqn::new(5)));
    // Nothing comes for two seconds, then the client asks for everything again.
    let old = header.sequence;
    let empty = serde_json::json!({"time_order": 5});
    client.handle_datagram(MS * 2100, &package(101, old, u32::MAX, &empty));
    let (header, time_order) = turn(&mut client, 2200);
    assert_eq!(time_order, Sqn::ZERO);
    let early = serde_json::json!({"early": 1, "time_order": 6});
    client.handle_datagram(MS * 2201, &package(102, old, u32::MAX, &early));
    let answer = serde_json::json!({"c": 1, "time_order": 7});
    client.handle_datagram(MS * 2202, &package(103, header.sequence, u32::MAX, &answer));
    let (header, time_order) = turn(&mut client, 2300);
    assert_eq!((header.ack, time_order), (Sqn::new(103), Sqn::new(7)));
    assert_eq!(header.ack_bitfield >> 31, 0, "102 is not acknowledged");
    assert_eq!(pull(&mut client), (true, serde_json::json!({"c": 1})));
}

/// By its label alone it would be news: labels hop half way round while a package takes half a second.
#[test]
fn what_was_sent_before_what_was_merged_is_neither_merged_nor_acknowledged() {
    let mut client = ClientConnection::default();
    client.connect(Duration::ZERO);
    let asked = turn(&mut client, 0).0.sequence;
    let state = |x: &str, label: u32| serde_json::json!({"x": x, "time_order": label});
    client.handle_datagram(MS, &package(100, asked, super::super::HELLO, &state("first", 40)));
    let ack = turn(&mut client, 100).0.sequence;
    for (number, label) in [(102, 32_029), (103, 32_813), (104, 63_778)] {
        client.handle_datagram(MS * 200, &package(number, ack, u32::MAX, &state("then", label)));
    }
    client.handle_datagram(MS * 210, &package(101, ack, u32::MAX, &state("first", 45)));
    let (header, time_order) = turn(&mut client, 300);
    assert_eq!((header.ack, time_order), (Sqn::new(104), Sqn::new(63_778)));
    assert_eq!(header.ack_bitfield >> 29, 0b110, "101 is not acknowledged");
    assert_eq!(pull(&mut client).1, serde_json::json!({"x": "then"}));
}
