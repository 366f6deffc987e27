//! A tick costs what changed, once for all views; a replica nobody looks into stays small.

use std::collections::VecDeque;
use std::time::Duration;

use pygase::state::{PeerKind, Replica, Store, View};
use pygase::wire::{Sqn, msgpack};

fn big_state(leaves: u64) -> Vec<u8> {
    let mut state = Vec::new();
    msgpack::write_map_len(&mut state, 1);
    msgpack::write_str(&mut state, "units");
    msgpack::write_map_len(&mut state, leaves as u32);
    for leaf in 0..leaves {
        msgpack::write_uint(&mut state, leaf);
        msgpack::write_str(&mut state, "somewhere");
    }
    state
}

fn unit_moves(unit: u64) -> Vec<u8> {
    let mut update = b"\x81\xa5units\x81".to_vec();
    msgpack::write_uint(&mut update, unit);
    msgpack::write_str(&mut update, "elsewhere");
    update
}

/// Brings a view up to date.
fn join(view: &mut View, store: &mut Store, now: &mut Duration) {
    while view.is_behind(store) || view.label() != store.time_order() {
        *now += Duration::from_millis(25);
        let mut update = Vec::new();
        view.write_update(store, *now, 1200, &mut update);
        view.report(msgpack::update_time_order(&update).unwrap(), store);
    }
}

/// Five leaves changed cost five visits to merge and five to send, in a small world and in one of a megabyte.
#[test]
fn the_size_of_the_world_does_not_matter() {
    for leaves in [100, 200_000] {
        let mut store = Store::new(Sqn::new(30000), &big_state(leaves)).unwrap();
        let mut now = Duration::ZERO;
        let mut views = [PeerKind::Ours, PeerKind::Original].map(|kind| View::new(&store, kind));
        for view in &mut views {
            join(view, &mut store, &mut now);
        }
        let visited = store.tree().visited();
        let mut update = b"\x81\xa5units\x85".to_vec();
        for unit in [3, 20, 33, 64, 99] {
            msgpack::write_uint(&mut update, unit);
            msgpack::write_str(&mut update, "elsewhere");
        }
        store.push(now, store.time_order().next(), &update).unwrap();
        assert_eq!(store.tree().visited() - visited, 5, "of {leaves}");
        for view in &mut views {
            let mut update = Vec::new();
            view.write_update(&mut store, now, 1200, &mut update);
            view.report(store.time_order(), &store);
            assert!(!view.is_behind(&store));
        }
        assert_eq!(store.tree().visited() - visited, 10, "of {leaves}");
    }
}

/// A package that cannot take everything ends where a tick ended, if that costs little room.
#[test]
fn a_part_ends_with_a_tick() {
    let tick = |unit: u8, length: u8| {
        let mut update = vec![0x82];
        for side in [0x61, 0x62] {
            update.extend([0xa2, side, b'a' + unit, 0xd9, length]);
            update.extend(vec![b'x'; length.into()]);
        }
        update
    };
    let update_of = |lengths: &[u8]| {
        let mut store = Store::new(Sqn::new(30000), b"\x80").unwrap();
        let mut view = View::new(&store, PeerKind::Ours);
        for (unit, &length) in lengths.iter().enumerate() {
            let time_order = store.time_order().next();
            store.push(Duration::ZERO, time_order, &tick(unit as u8, length)).unwrap();
        }
        let mut update = Vec::new();
        view.write_update(&mut store, Duration::ZERO, 1200, &mut update);
        let (_, is_part) = msgpack::update_label(&update).unwrap();
        assert!(is_part);
        crate::model::parse(&update).len()
    };
    // Two ticks of 510 bytes, and half of the third would fit.
    assert_eq!(update_of(&[250, 250, 250]), 4);
    // The end of the first tick is out of reach: it would leave most of the package empty.
    assert_eq!(update_of(&[100, 255, 255, 255]), 4);
    let mut store = Store::new(Sqn::new(30000), b"\x80").unwrap();
    store.push(Duration::ZERO, Sqn::new(30001), &big_state(500)).unwrap();
    let mut update = Vec::new();
    View::new(&store, PeerKind::Ours).write_update(&mut store, Duration::ZERO, 1200, &mut update);
    assert!(update.len() > 1150, "within a tick it ends anywhere");
}

#[test]
fn a_tick_visits_what_changed_and_encodes_it_once() {
    let mut store = Store::new(Sqn::new(30000), &big_state(20_000)).unwrap();
    let mut now = Duration::ZERO;
    let kinds = [PeerKind::Ours, PeerKind::Original];
    let mut views: Vec<_> = (0..100).map(|n| View::new(&store, kinds[n % 2])).collect();
    for view in &mut views {
        join(view, &mut store, &mut now);
    }
    for tick in 0..20u64 {
        let (visited, encodings) = (store.tree().visited(), store.encodings());
        store.push(now, store.time_order().next(), &unit_moves(tick * 7)).unwrap();
        for view in &mut views {
            let mut update = Vec::new();
            view.write_update(&mut store, now, 1200, &mut update);
            assert_eq!(update.len(), 1 + 6 + 1 + 1 + 10 + 14 + usize::from(tick * 7 > 127));
            view.report(store.time_order(), &store);
        }
        assert_eq!(store.encodings() - encodings, 1);
        assert!(store.tree().visited() - visited <= 3);
        store.forget(views.iter().map(View::floor).min().unwrap());
    }
}

/// Views that last confirmed different ticks need different updates; each of those is made once.
#[test]
fn there_is_one_encoding_for_each_base() {
    let mut store = Store::new(Sqn::new(30000), &big_state(200)).unwrap();
    let mut now = Duration::ZERO;
    let mut views: Vec<_> = (0..60).map(|_| View::new(&store, PeerKind::Ours)).collect();
    for view in &mut views {
        join(view, &mut store, &mut now);
    }
    let write = |view: &mut View, store: &mut Store| {
        let mut update = Vec::new();
        view.write_update(store, now, 1200, &mut update);
        msgpack::update_time_order(&update).unwrap()
    };
    for base in 0..12 {
        store.push(now, store.time_order().next(), &unit_moves(base as u64)).unwrap();
        for view in views.iter_mut().skip(base).step_by(12) {
            let label = write(view, &mut store);
            view.report(label, &store);
        }
    }
    store.push(now, store.time_order().next(), &unit_moves(99)).unwrap();
    let encodings = store.encodings();
    for view in &mut views {
        write(view, &mut store);
    }
    assert_eq!(store.encodings() - encodings, 12);
}

/// How many packages it takes to join, each way taking `delay` intervals.
fn packages_to_join(kind: PeerKind, delay: usize, loss: f64) -> usize {
    let mut store = Store::new(Sqn::new(30000), &big_state(5_400)).unwrap();
    let mut view = View::new(&store, kind);
    let mut replica = Replica::new();
    let mut random = fastrand::Rng::with_seed(7);
    let (mut down, mut up) = (VecDeque::new(), VecDeque::new());
    for package in 1.. {
        let mut update = Vec::new();
        view.write_update(&mut store, Duration::from_millis(25) * package as u32, 1200, &mut update);
        down.push_back((random.f64() >= loss).then_some(update));
        if down.len() > delay
            && let Some(Some(update)) = down.pop_front()
        {
            replica.apply(&update).unwrap();
        }
        up.push_back((random.f64() >= loss).then_some(replica.time_order()));
        if up.len() > delay
            && let Some(Some(label)) = up.pop_front()
        {
            view.report(label, &store);
        }
        if !view.is_behind(&store) {
            assert_eq!(replica.pull().unwrap().update.len(), store.tree().to_msgpack().len());
            return package;
        }
    }
    unreachable!()
}

/// A state of 60 packages comes at one package per interval, whatever the delay; then the client is told that it
/// has the whole.
#[test]
fn joining_a_big_world_does_not_wait_for_reports() {
    for kind in [PeerKind::Ours, PeerKind::Original] {
        for (delay, loss, most) in [(0, 0.0, 62), (1, 0.0, 64), (8, 0.0, 80), (1, 0.1, 90), (8, 0.1, 130)] {
            let packages = packages_to_join(kind, delay, loss);
            let most = most + 2 * delay;
            assert!((55..=most).contains(&packages), "delay {delay}, loss {loss}: {packages}");
        }
    }
}

/// Clients that join together share what they are sent, whatever they are.
#[test]
fn joins_share_their_encodings() {
    let mut store = Store::new(Sqn::new(30000), &big_state(2000)).unwrap();
    let mut now = Duration::ZERO;
    let mut first = View::new(&store, PeerKind::Original);
    join(&mut first, &mut store, &mut now);
    let encodings = store.encodings();
    assert!(encodings > 20);
    for kind in [PeerKind::Ours, PeerKind::Original] {
        let mut view = View::new(&store, kind);
        join(&mut view, &mut store, &mut now);
    }
    assert_eq!(store.encodings(), encodings);
}

#[test]
fn a_replica_that_is_not_looked_into_keeps_no_endless_tombstones() {
    let mut replica = Replica::new();
    let update = |time_order: u16, key: u16, value: &[u8]| {
        let mut update = b"\x82".to_vec();
        msgpack::write_str(&mut update, &key.to_string());
        update.extend_from_slice(value);
        msgpack::write_time_order_fixed(&mut update, Sqn::new(time_order));
        update
    };
    for round in 0..6000 {
        assert!(replica.apply(&update(2 * round + 1, round, b"\x01")).unwrap());
        assert!(replica.apply(&update(2 * round + 2, round, b"\xc4\x04\xd2\x81\xe5\xba")).unwrap());
    }
    assert!(replica.apply(&update(20_000, 7, b"\x07")).unwrap());
    let pulled = replica.pull().unwrap();
    assert!(pulled.fresh);
    assert!(pulled.update.len() < 20_000, "{}", pulled.update.len());
    assert_eq!(replica.pull(), None);
}

#[test]
fn a_resync_is_swapped_in_with_the_first_update() {
    let mut replica = Replica::new();
    assert!(replica.apply(b"\x82\xa1x\x01\xaatime_order\xcd\x00\x05").unwrap());
    assert!(!replica.pull().unwrap().fresh);
    replica.resync();
    assert!(replica.is_resyncing());
    assert_eq!((replica.time_order(), replica.pull()), (Sqn::ZERO, None));
    assert!(!replica.apply(b"\x81\xaatime_order\xcd\x00\x00").unwrap());
    assert!(replica.apply(b"\x82\xa1y\x02\xaatime_order\xcd\x00\x03").unwrap());
    let pulled = replica.pull().unwrap();
    assert_eq!(
        (pulled.fresh, pulled.time_order, &pulled.update[..]),
        (true, Sqn::new(3), &b"\x81\xa1y\x02"[..])
    );
    assert!(replica.apply(b"\xc1").is_err());
    assert!(replica.apply(b"\x81\xa1x\x01").is_err(), "no time order");
}
