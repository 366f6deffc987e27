//! The state traces recorded from the original.

use pygase::state::{PeerKind, Replica, Store, View};
use pygase::wire::Sqn;
use std::time::Duration;

use crate::common::{packed, sqn, vectors};
use crate::model::{merge, merge_as_original, pack, parse};
use pygase::wire::msgpack;

/// An update as a server makes it from attributes.
fn live(data: &[u8], time_order: Sqn) -> Vec<u8> {
    let mut reader = msgpack::Reader::new(data);
    let Ok(msgpack::Token::Map(count)) = reader.next() else { panic!("a map") };
    let mut out = Vec::new();
    msgpack::write_map_len(&mut out, count + 1);
    out.extend_from_slice(reader.rest());
    msgpack::write_time_order_fixed(&mut out, time_order);
    out
}

#[test]
fn a_replica_follows_the_recorded_traces() {
    let mut steps = 0;
    for trace in vectors("state_trace") {
        let mut replica = Replica::new();
        let start = sqn(&trace["time_order"]);
        // A client that has nothing takes what is at most half the numbers ahead.
        for hop in [32000, 64000] {
            if !start.newer_than(replica.time_order()) {
                assert!(replica.apply(&live(b"\x80", Sqn::new(hop))).unwrap());
            }
        }
        assert!(replica.apply(&live(&packed(&trace["start"]), start)).unwrap());
        let mut game = parse(&replica.pull().unwrap().update);
        for step in trace["steps"].as_array().unwrap() {
            let before = replica.time_order();
            let accepted = replica.apply(&live(&packed(&step[1]), sqn(&step[0]))).unwrap();
            assert_eq!(replica.time_order(), sqn(&step[2]), "{step}");
            assert_eq!(accepted, before != sqn(&step[2]), "{step}");
            match replica.pull() {
                Some(pulled) => {
                    assert!(accepted && !pulled.fresh);
                    merge(&mut game, &parse(&pulled.update));
                }
                None => assert!(!accepted),
            }
            assert_eq!(game, parse(&packed(&step[3])), "{step}");
            steps += 1;
        }
    }
    assert!(steps > 100, "{steps}");
}

/// The property tests take this model for the original's client.
#[test]
fn the_model_of_the_original_follows_the_recorded_traces() {
    for trace in vectors("state_trace") {
        let mut state = parse(&packed(&trace["start"]));
        let mut time_order = sqn(&trace["time_order"]);
        for step in trace["steps"].as_array().unwrap() {
            if sqn(&step[0]).newer_than(time_order) {
                merge_as_original(&mut state, &parse(&packed(&step[1])));
                time_order = sqn(&step[0]);
            }
            assert_eq!((time_order, &state), (sqn(&step[2]), &parse(&packed(&step[3]))), "{step}");
        }
    }
}

#[test]
fn a_store_follows_the_recorded_traces() {
    for trace in vectors("state_trace") {
        let mut store = Store::new(sqn(&trace["time_order"]), &packed(&trace["start"])).unwrap();
        for step in trace["steps"].as_array().unwrap() {
            if sqn(&step[0]).newer_than(store.time_order()) {
                store.push(Duration::ZERO, sqn(&step[0]), &packed(&step[1])).unwrap();
            }
            assert_eq!(store.time_order(), sqn(&step[2]), "{step}");
            assert_eq!(parse(&store.tree().to_msgpack()), parse(&packed(&step[3])), "{step}");
        }
        let mut other = Store::new(Sqn::new(1), b"\x80").unwrap();
        let mut view = View::new(&other, PeerKind::Ours);
        other.replace(Duration::ZERO, Sqn::new(2), &store.tree().to_msgpack()).unwrap();
        let mut update = Vec::new();
        view.write_update(&mut other, Duration::ZERO, 1200, &mut update);
        assert_eq!(pack(&parse(&update)), pack(&parse(&store.tree().to_msgpack())));
        view.report(Sqn::new(2), &other);
        assert!(!view.is_behind(&other));
    }
}
