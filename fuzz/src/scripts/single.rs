//! Scripts for one connection, and for a client alone with whatever comes.

use std::time::Duration;

use pygase::connection::{Config, ConnectionEvent};
use pygase::wire::{Body, Kind, Package, Sqn};
use pygase::{ClientConnection, Connection};

use super::ledger::Ledger;
use super::line::Line;
use super::prompt_events;
use crate::allocation::{limited, live};
use crate::generate;
use crate::input::Input;

struct Side {
    connection: Connection,
    /// To the other side.
    line: Line,
    /// Its events.
    ledger: Ledger,
}

impl Side {
    fn new(input: &mut Input<'_>) -> Self {
        let ordered_events = input.one_in(4);
        let mut connection = Connection::new(Config { ordered_events, ..Config::default() });
        // Numbers that wrap soon.
        connection.local_sequence = generate::sqn(input);
        Self { connection, line: Line::default(), ledger: Ledger::default() }
    }
}

/// Two connections and a line between them.
pub(super) fn connection(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut sides = [Side::new(&mut input), Side::new(&mut input)];
    let mut now = Duration::from_secs(1);
    while !input.is_empty() {
        let index = input.below(2);
        match input.below(8) {
            0 | 1 => {
                let side = &mut sides[index];
                let (event, id) = side.ledger.event();
                side.connection.dispatch(event, Some(id), 2034).expect("a small event");
            }
            2..5 => {
                let side = &mut sides[index];
                let mut out = Vec::new();
                let limit = input.pick(&[2048, 1200, 64]);
                let events = input.pick(&[5, 1, usize::MAX]);
                side.connection.write_package(now, Body::Plain, limit, events, &mut out).expect("a package");
                side.line.send(now, out);
            }
            5..7 => {
                let Some(bytes) = sides[index].line.arrive(now, &mut input) else { continue };
                let package = Package::decode(Kind::Plain, &bytes).expect("what was written");
                limited(|| sides[1 - index].connection.receive(now, &package));
            }
            _ => now += input.time(),
        }
        settle(&mut sides, now, input.one_in(2));
    }
    // What waits for others in order does not wait for ever.
    settle(&mut sides, now + Duration::from_secs(10), true);
    for side in &mut sides {
        side.connection.abandon_events();
    }
    settle(&mut sides, now + Duration::from_secs(10), true);
    for side in &sides {
        side.ledger.close();
        assert_eq!(side.connection.in_flight().len(), 0);
    }
}

/// Lets time pass on both sides and takes note of what happened; events are taken in only by a `listening` game.
fn settle(sides: &mut [Side; 2], now: Duration, listening: bool) {
    for index in 0..2 {
        sides[index].connection.handle_timeout(now);
        // The packages of a second, at 40 and no more than a script has steps.
        while let Some(happened) = poll(&mut sides[index].connection, listening) {
            sides[1 - index].ledger.came(&happened);
            sides[index].ledger.told(&happened);
        }
    }
}

fn poll(connection: &mut Connection, listening: bool) -> Option<ConnectionEvent> {
    if listening { connection.poll_event() } else { None }
}

/// A client whose server lies.
pub(super) fn client(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let before = live();
    let config = Config { prompt_events: prompt_events(bytes.len()), ..Config::default() };
    let mut client = ClientConnection::new(config);
    let mut now = Duration::from_secs(1);
    client.connect(now);
    let (mut sent, mut last, mut begun, mut got) = (0_u32, Sqn::ZERO, now, 0);
    while !input.is_empty() {
        match input.below(8) {
            0..5 => {
                let near = (client.connection().received.newest, client.connection().local_sequence);
                let mut bytes = generate::package(&mut input, Kind::Server, near);
                if input.one_in(4) {
                    generate::damage(&mut input, &mut bytes);
                }
                limited(|| client.handle_datagram(now, &bytes));
                got += 1;
            }
            5 => {
                let event = pygase::wire::msgpack::event("N", &[0x90], &[0x80]);
                client.dispatch_retried(event.into(), None, input.u8().into()).expect("a small event");
            }
            _ => now += input.time(),
        }
        client.handle_timeout(now);
        let mut out = Vec::new();
        while client.poll_transmit(now, &mut out) {
            let package = Package::decode(Kind::Client, &out).expect("a package of ours");
            assert_ne!(package.header.sequence, last, "no number twice");
            last = package.header.sequence;
            sent += 1;
            out.clear();
        }
        while client.poll_action().is_some() {}
        if input.one_in(4) {
            while client.connection_mut().poll_event().is_some() {}
            client.replica_mut().pull();
        }
        // At most one a turn (25 ms), and one for whatever asks for an answer at once.
        let turns = now.saturating_sub(begun).as_millis() / 25 + 2;
        assert!(u128::from(sent) <= turns + got, "{sent} packages in {turns} turns");
        if input.one_in(64) {
            client.disconnect(now, input.one_in(2));
            client.connect(now);
            (sent, got, begun) = (0, 0, now);
            last = Sqn::ZERO;
        }
    }
    let cost = live() - before;
    assert!(cost < 2 << 20, "{cost} bytes");
}
