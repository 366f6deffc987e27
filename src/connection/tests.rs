use std::{collections::HashMap, sync::Arc, time::Duration};

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::wire::{Body, Kind, Package};

const MS: Duration = Duration::from_millis(1);
const PLAIN_LIMIT: usize = 2034;

fn vectors(kind: &str) -> Vec<Value> {
    include_str!("../../tests/vectors/pygase-0.3.1.jsonl")
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|row| row["kind"] == kind)
        .collect()
}

fn event(size: usize) -> Arc<[u8]> {
    vec![0xc0; size].into()
}

/// Sends one package from `from` to `to` at `now`, unless it is `lost`.
fn exchange(now: Duration, from: &mut Connection, to: &mut Connection, lost: bool) -> Option<Receipt> {
    let mut datagram = Vec::new();
    from.write_package(now, Body::Plain, 2048, 5, &mut datagram).unwrap();
    // Events are opaque to the connection: only the header of a decoded package is replaced here.
    (!lost).then(|| to.receive(now, &Package::decode(Kind::Plain, &datagram).unwrap()))
}

fn events_of(connection: &mut Connection) -> Vec<ConnectionEvent> {
    std::iter::from_fn(|| connection.poll_event()).collect()
}

fn hello() -> Arc<[u8]> {
    crate::wire::msgpack::event("HELLO", &[0x90], &[0x80]).into()
}

#[test]
fn acknowledgements_follow_the_recorded_traces() {
    for trace in vectors("ack_trace") {
        let mut window = ReceiveWindow::default();
        for step in trace["steps"].as_array().unwrap() {
            let sequence = Sqn::new(step[0].as_u64().unwrap() as u16);
            let arrival = window.receive(sequence);
            if step[1] == "duplicate" {
                assert_eq!(arrival, Arrival::Duplicate, "{step}");
            } else {
                assert_eq!(u64::from(window.newest.value()), step[1].as_u64().unwrap(), "{step}");
                assert_eq!(format!("{:032b}", window.bitfield), step[2].as_str().unwrap(), "{step}");
            }
        }
    }
}

#[test]
#[allow(clippy::float_cmp, reason = "recorded values, reached by the same operations")]
fn congestion_follows_the_recorded_traces() {
    let config = Config::default();
    for trace in vectors("congestion_trace") {
        let mut congestion = Congestion::new(&config, 0.0);
        for step in trace["steps"].as_array().unwrap() {
            let number = |index: usize| step[index].as_f64().unwrap();
            congestion.step(&config, number(0), number(1));
            let interval = if congestion.fast { 0.025 } else { 0.05 };
            assert_eq!(congestion.quality.as_str(), step[2].as_str().unwrap(), "{step}");
            assert_eq!(interval, number(3), "{step}");
            assert_eq!(congestion.throttle_time, number(4), "{step}");
            assert_eq!(congestion.last_quality_change, number(5), "{step}");
            assert_eq!(congestion.last_good_quality_milestone, number(6), "{step}");
        }
    }
}

#[test]
fn the_package_before_a_gap_stays_acknowledged() {
    let mut window = ReceiveWindow::default();
    window.receive(Sqn::new(10));
    window.receive(Sqn::new(13));
    assert_eq!(window.bitfield, 0b001 << 29);
}

#[test]
fn an_event_is_acknowledged_once_its_package_is() {
    let (mut left, mut right) = (Connection::default(), Connection::default());
    left.dispatch(hello(), Some(1), PLAIN_LIMIT).unwrap();
    exchange(MS, &mut left, &mut right, false);
    exchange(MS * 21, &mut right, &mut left, false);
    assert_eq!(
        events_of(&mut left),
        [ConnectionEvent::Status(Status::Connected), ConnectionEvent::Acknowledged(1)]
    );
    assert!((left.latency - 0.002).abs() < 1e-9, "a tenth of 20 ms, not {}", left.latency);
}

#[test]
fn a_lost_package_times_out_on_schedule() {
    let (mut left, mut right) = (Connection::default(), Connection::default());
    left.dispatch(hello(), Some(1), PLAIN_LIMIT).unwrap();
    exchange(MS, &mut left, &mut right, true);
    left.handle_timeout(MS * 1000);
    assert_eq!(events_of(&mut left), []);
    left.handle_timeout(MS * 1001);
    assert_eq!(events_of(&mut left), [ConnectionEvent::TimedOut(1)]);
    assert_eq!(left.stats.lost, 1);
}

#[test]
fn duplicates_and_late_packages_are_counted_and_change_nothing() {
    let (mut left, mut right) = (Connection::default(), Connection::default());
    let mut first = Vec::new();
    left.dispatch(hello(), None, PLAIN_LIMIT).unwrap();
    left.write_package(MS, Body::Plain, 2048, 5, &mut first).unwrap();
    let first = Package::decode(Kind::Plain, &first).unwrap();
    assert_eq!(right.receive(MS, &first), Receipt::Newest);
    assert_eq!(right.receive(MS, &first), Receipt::Dropped);
    for step in 2..=40 {
        exchange(MS * step, &mut left, &mut right, false);
    }
    let window = right.received;
    assert_eq!(right.receive(MS * 50, &first), Receipt::Dropped);
    assert_eq!((right.stats.duplicate, right.stats.late, right.stats.received), (1, 1, 40));
    assert_eq!(right.received, window);
    assert_eq!(events_of(&mut right).len(), 2, "one status change and one event");
}

#[test]
fn five_seconds_of_silence_disconnect_and_a_package_reconnects() {
    let (mut left, mut right) = (Connection::default(), Connection::default());
    exchange(MS, &mut left, &mut right, false);
    right.handle_timeout(MS * 5001);
    assert_eq!(right.status(), Status::Connected);
    right.handle_timeout(MS * 5002);
    assert_eq!(right.status(), Status::Disconnected);
    exchange(MS * 6000, &mut left, &mut right, false);
    assert_eq!(right.status(), Status::Connected);
}

#[test]
fn an_event_that_can_never_fit_is_refused_at_the_caller() {
    let mut connection = Connection::default();
    let refused = connection.dispatch(event(PLAIN_LIMIT + 1), None, PLAIN_LIMIT).unwrap_err();
    assert_eq!(refused, DispatchError::TooLarge { size: 2035, limit: 2034 });
    assert!(refused.to_string().contains("2035") && refused.to_string().contains("2034"));
    connection.dispatch(event(PLAIN_LIMIT), None, PLAIN_LIMIT).unwrap();
    let mut datagram = Vec::new();
    connection.write_package(MS, Body::Plain, 2048, 5, &mut datagram).unwrap();
    assert_eq!(datagram.len(), 2048);
}

#[test]
fn events_that_do_not_fit_wait_for_the_next_package() {
    let mut connection = Connection::default();
    for size in [900, 900, 900, 10, 10, 10, 10, 10, 10] {
        connection.dispatch(event(size), None, PLAIN_LIMIT).unwrap();
    }
    let sizes: Vec<usize> = (1..=4)
        .map(|step| {
            let mut datagram = Vec::new();
            connection.write_package(MS * step, Body::Plain, 2048, 5, &mut datagram).unwrap();
            datagram.len()
        })
        .collect();
    assert_eq!(sizes, [12 + 2 * 902, 12 + 902 + 4 * 12, 12 + 2 * 12, 12]);
}

#[test]
fn a_full_queue_counts_and_tells_the_caller() {
    let mut connection = Connection::default();
    for id in 0..1025 {
        connection.dispatch(event(10), Some(id), PLAIN_LIMIT).unwrap();
    }
    assert_eq!(connection.stats.queue_full, 1);
    assert_eq!(events_of(&mut connection), [ConnectionEvent::TimedOut(1024)]);
}

#[test]
fn a_package_whose_events_find_no_room_counts_as_not_received() {
    let config = Config { max_waiting_events: 1, ..Config::default() };
    let (mut left, mut right) = (Connection::default(), Connection::new(config));
    for _ in 0..2 {
        left.dispatch(hello(), None, PLAIN_LIMIT).unwrap();
    }
    assert_eq!(exchange(MS, &mut left, &mut right, false), Some(Receipt::Refused));
    assert_eq!((right.received.newest, right.stats.queue_full), (Sqn::ZERO, 1));
}

#[test]
fn abandoning_resolves_every_callback() {
    let (mut left, mut right) = (Connection::default(), Connection::default());
    left.dispatch(hello(), Some(1), PLAIN_LIMIT).unwrap();
    exchange(MS, &mut left, &mut right, true);
    left.dispatch(hello(), Some(2), PLAIN_LIMIT).unwrap();
    left.abandon_events();
    assert_eq!(events_of(&mut left), [ConnectionEvent::TimedOut(1), ConnectionEvent::TimedOut(2)]);
}

proptest! {
    /// Whatever is lost: every callback fires exactly once, and an acknowledged event did arrive.
    #[test]
    fn each_event_has_exactly_one_fate(losses in proptest::collection::vec((any::<bool>(), any::<bool>()), 1..200)) {
        let (mut left, mut right) = (Connection::default(), Connection::default());
        let mut sent = 0;
        let mut fates: HashMap<CallbackId, bool> = HashMap::new();
        let mut arrived = 0;
        let mut now = Duration::ZERO;
        let quiet = vec![(false, false); 50];
        for (index, (lose_there, lose_back)) in losses.iter().chain(&quiet).enumerate() {
            now += MS * 25;
            if index < losses.len() {
                left.dispatch(hello(), Some(sent), PLAIN_LIMIT).unwrap();
                sent += 1;
            }
            exchange(now, &mut left, &mut right, *lose_there);
            exchange(now, &mut right, &mut left, *lose_back);
            left.handle_timeout(now);
            arrived += events_of(&mut right).iter().filter(|e| matches!(e, ConnectionEvent::Event(_))).count();
            for event in events_of(&mut left) {
                let (id, acknowledged) = match event {
                    ConnectionEvent::Acknowledged(id) => (id, true),
                    ConnectionEvent::TimedOut(id) => (id, false),
                    _ => continue,
                };
                prop_assert!(fates.insert(id, acknowledged).is_none(), "two fates for {}", id);
            }
        }
        prop_assert_eq!(fates.len() as u64, sent);
        let acknowledged = fates.values().filter(|fate| **fate).count();
        prop_assert!(acknowledged <= arrived);
    }

    /// The window says of the last 32 numbers exactly what a set would.
    #[test]
    fn the_window_equals_a_set(steps in proptest::collection::vec(-40i32..40, 1..300)) {
        let mut window = ReceiveWindow::default();
        let mut seen = std::collections::HashSet::new();
        let mut newest: i64 = 100_000;
        let sqn = |n: i64| Sqn::new(((n - 1) % 65535 + 1) as u16);
        window.receive(sqn(newest));
        seen.insert(newest);
        for step in steps {
            let number = newest + i64::from(step);
            let expected = if step < -32 {
                Arrival::Late
            } else if seen.contains(&number) {
                Arrival::Duplicate
            } else if step > 0 {
                Arrival::Newest
            } else {
                Arrival::Older
            };
            prop_assert_eq!(window.receive(sqn(number)), expected);
            if matches!(expected, Arrival::Newest | Arrival::Older) {
                seen.insert(number);
            }
            newest = newest.max(number);
            for behind in 1..=32i64 {
                let bit = window.bitfield >> (32 - behind) & 1 == 1;
                prop_assert_eq!(bit, seen.contains(&(newest - behind)), "bit {}", behind);
            }
        }
    }
}

#[test]
fn a_line_slower_than_the_package_timeout_has_a_round_trip_time_too() {
    let (mut left, mut right) = (Connection::default(), Connection::default());
    let mut on_the_way = std::collections::VecDeque::new();
    for turn in 0..1600_u32 {
        let now = MS * 25 * turn;
        for (index, from) in [&mut left, &mut right].into_iter().enumerate() {
            let mut datagram = Vec::new();
            from.handle_timeout(now);
            from.write_package(now, Body::Plain, 2048, 5, &mut datagram).unwrap();
            on_the_way.push_back((now + MS * 1500, index, datagram));
        }
        while on_the_way.front().is_some_and(|(at, ..)| *at <= now) {
            let (_, index, datagram) = on_the_way.pop_front().unwrap();
            let to = if index == 0 { &mut right } else { &mut left };
            to.receive(now, &Package::decode(Kind::Plain, &datagram).unwrap());
        }
    }
    let (stats, gauges) = (left.stats, left.gauges());
    assert!((left.latency - 3.0).abs() < 0.1, "{}", left.latency);
    assert!(gauges.jitter < 0.001 && (39..=40).contains(&gauges.in_flight), "{gauges:?}");
    assert!(stats.acknowledged == 0 && stats.acknowledged_late > 1400, "{stats:?}");
    assert_eq!(left.congestion.quality, Quality::Bad);
}
