//! Which label an update goes out under, and what a report of it means.

use std::time::Duration;

use pygase::state::{PeerKind, View};
use pygase::wire::{Sqn, msgpack};

use crate::{
    model::{Dict, parse},
    server::{BUDGET, Server, both},
};

#[test]
fn a_complete_update_has_the_time_order_of_the_server() {
    both(|kind| {
        let mut server = Server::new(kind, 7, b"\x81\xa1x\x01");
        assert_eq!(server.update(), (7, parse(b"\x81\xa1x\x01")));
        server.push(8, b"\x81\xa1y\x02");
        assert_eq!(server.update(), (8, parse(b"\x82\xa1x\x01\xa1y\x02")));
        server.report(7);
        assert_eq!(server.update(), (8, parse(b"\x81\xa1y\x02")));
        server.report(8);
        assert_eq!(server.update(), (8, Dict::new()));
        assert!(!server.view.is_behind(&server.store));
        assert_eq!(server.view.label(), Sqn::new(8));
        server.push(9, b"\x80");
        assert_eq!(server.update(), (9, Dict::new()));
    });
}

#[test]
fn an_update_is_flat_and_ends_with_its_label() {
    let state = b"\x82\xa1p\x82\x01\x81\xa1x\x05\x02\x06\xa1q\x80";
    let mut server = Server::new(PeerKind::Original, 0x0102, state);
    let expected = b"\x83\xa1p\x82\x01\x81\xa1x\x05\x02\x06\xa1q\x80\xaatime_order\xcd\x01\x02";
    assert_eq!(server.bytes(BUDGET), expected);
}

#[test]
fn the_time_order_is_never_left_at_0() {
    both(|kind| {
        let mut server = Server::new(kind, 0, b"\x80");
        assert_eq!(server.store.time_order(), Sqn::ZERO);
        assert_eq!(server.update(), (1, Dict::new()));
        assert_eq!(server.store.time_order(), Sqn::new(1));
    });
}

#[test]
fn labels_wrap_past_0() {
    let mut server = Server::new(PeerKind::Ours, 1, b"\x80");
    for (time_order, label) in [(2, 2), (32000, 32000), (64000, 64000), (65535, 65535), (1, 1)] {
        server.push(time_order, b"\x81\xa1x\x01");
        assert_eq!(server.later_update().0, label);
        server.report(label);
    }
}

/// A client that has nothing ignores labels above 32767: it gets there by hops.
#[test]
fn a_fresh_client_joins_an_old_server_by_hops() {
    both(|kind| {
        for (time_order, hops) in
            [(32767, &[32767][..]), (32768, &[32000, 32768]), (65535, &[32000, 64000, 65535])]
        {
            let mut server = Server::new(kind, time_order, b"\x81\xa1x\x01");
            for &hop in hops {
                assert_eq!(server.later_update().0, hop, "to {time_order}");
                server.report(hop);
            }
            assert_eq!(server.later_update(), (time_order, Dict::new()));
        }
    });
}

/// A hop may not make a straggler newer again that it has lapped. Short of that there are labels.
#[test]
fn a_hop_stays_in_sight_of_what_is_under_way() {
    both(|kind| {
        let mut server = Server::new(kind, 65000, b"\x81\xa1x\x01");
        for label in [32000, 32001, 32002] {
            assert_eq!(server.update().0, label);
            server.report(label);
        }
        // Now what was under way from the beginning is gone.
        assert_eq!(server.later_update().0, 64002);
        server.push(65001, b"\x81\xa1x\x02");
        assert_eq!(server.update(), (64003, parse(b"\x81\xa1x\x02")));
        server.report(64003);
        server.push(65002, b"\x81\xa1x\x03");
        assert_eq!(server.update(), (65002, parse(b"\x81\xa1x\x03")));
    });
}

/// An empty update has the label that the client reported, and is as dangerous when it comes late.
#[test]
fn an_empty_update_is_under_way_as_well() {
    both(|kind| {
        let mut server = Server::new(kind, 32_700, b"\x81\xa1x\x01");
        assert_eq!(server.update().0, 32_700);
        // By now nothing else of the beginning is under way.
        server.now += Duration::from_millis(501);
        let mut out = Vec::new();
        server.view.empty_update(server.now, &mut out);
        assert_eq!(msgpack::update_label(&out).unwrap(), (Sqn::ZERO, false));
        server.report(32_700);
        for (time_order, label) in [(32_800, 32_701), (32_801, 32_702)] {
            server.push(time_order, b"\x81\xa1x\x02");
            assert_eq!(server.update().0, label);
        }
        assert_eq!(server.later_update().0, 32_801);
    });
}

const THREE: &[u8] = b"\x83\xa1a\xa3aaa\xa1b\xa3bbb\xa1c\xa3ccc";

fn three() -> [Dict; 3] {
    [&b"\x81\xa1a\xa3aaa"[..], b"\x81\xa1b\xa3bbb", b"\x81\xa1c\xa3ccc"].map(parse)
}

#[test]
fn an_incomplete_update_is_one_ahead() {
    both(|kind| {
        let mut server = Server::new(kind, 100, THREE);
        let [a, b, c] = three();
        assert_eq!(server.update_within(23), (1, a));
        server.report(1);
        assert_eq!(server.update_within(23), (2, b));
        server.report(2);
        assert_eq!(server.update_within(23), (100, c));
        server.report(100);
        assert_eq!(server.update_within(23), (100, Dict::new()));
    });
}

/// Nothing waits for a report while there is something that was not sent yet.
#[test]
fn incomplete_updates_go_out_one_after_the_other() {
    both(|kind| {
        let mut server = Server::new(kind, 100, THREE);
        let [a, b, c] = three();
        assert_eq!(server.update_within(23), (1, a.clone()));
        assert_eq!(server.update_within(23), (2, b.clone()));
        assert_eq!(server.update_within(23), (3, c.clone()));
        assert_eq!(server.update_within(23), (3, c));
        // The client may have got the third before the others and ignored those.
        server.report(3);
        assert_eq!(server.update_within(23), (4, a));
        assert_eq!(server.update_within(23), (5, b.clone()));
        server.report(4);
        server.push(101, b"\x81\xa1a\xa3AAA");
        assert_eq!(server.update_within(23), (6, parse(b"\x81\xa1a\xa3AAA")));
        server.report(5);
        assert_eq!(server.update_within(23), (101, parse(b"\x81\xa1a\xa3AAA")));
    });
}

#[test]
fn without_room_the_next_tick_makes_it() {
    both(|kind| {
        let mut server = Server::new(kind, 1, b"\x82\xa1a\xa3aaa\xa1b\xa3bbb");
        assert_eq!(server.update_within(23), (1, parse(b"\x81\xa1a\xa3aaa")));
        server.report(1);
        assert_eq!(server.update_within(23), (1, Dict::new()));
        server.push(2, b"\x80");
        assert_eq!(server.update_within(23), (2, parse(b"\x81\xa1b\xa3bbb")));
    });
}

#[test]
fn without_a_tick_the_time_order_goes_on_by_itself() {
    both(|kind| {
        let mut server = Server::new(kind, 1, b"\x82\xa1a\xa3aaa\xa1b\xa3bbb");
        server.push(1, b"\x80");
        assert_eq!(server.store.time_order(), Sqn::new(2));
        assert_eq!(server.update_within(23).0, 1);
        server.report(1);
        assert_eq!(server.update_within(23).0, 2);
        server.report(2);
        server.push(2, b"\x81\xa1c\x01");
        assert_eq!(server.update_within(23), (3, parse(b"\x81\xa1c\x01")));
        let mut late = View::new(&server.store, kind);
        let mut out = Vec::new();
        // The late one takes the last label there is.
        while late.label() != Sqn::new(3) {
            out.clear();
            late.write_update(&mut server.store, server.now, 23, &mut out);
            late.report(msgpack::update_time_order(&out).unwrap(), &server.store);
        }
        assert!(!late.is_behind(&server.store));
        let mut server = Server::new(kind, 1, b"\x82\xa1a\xa3aaa\xa1b\xa3bbb");
        server.push(1, b"\x80");
        for label in [1, 2] {
            assert_eq!(server.update_within(23).0, label);
            server.report(label);
        }
        server.push(3, b"\x82\xa1a\xa3aaa\xa1b\xa3bbb");
        assert_eq!(server.update_within(23).0, 3);
        server.report(3);
        assert_eq!(server.update_within(23), (3, Dict::new()));
        server.now += Duration::from_millis(99);
        assert!(!server.store.tick_idle(server.now));
        assert_eq!(server.update_within(23), (3, Dict::new()));
        server.now += Duration::from_millis(1);
        assert_eq!(server.update_within(23), (4, parse(b"\x81\xa1b\xa3bbb")));
        assert_eq!(server.store.time_order(), Sqn::new(4));
        server.report(4);
        server.now += Duration::from_secs(1);
        assert!(!server.store.tick_idle(server.now), "nobody waits");
    });
}

/// A client merges only one update of a label, so that each change gets a label of its own on the way, too.
#[test]
fn changes_during_a_hop_come_one_by_one() {
    both(|kind| {
        let mut server = Server::new(kind, 40000, b"\x81\xa1x\x01");
        let first = parse(b"\x81\xa1x\x01");
        assert_eq!(server.update(), (32000, first.clone()));
        assert_eq!(server.update(), (32000, first));
        server.push(40001, b"\x81\xa1y\x02");
        assert_eq!(server.update(), (32001, parse(b"\x82\xa1x\x01\xa1y\x02")));
        server.report(32000);
        assert_eq!(server.update(), (32001, parse(b"\x81\xa1y\x02")));
        server.push(40002, b"\x81\xa1y\x03");
        assert_eq!(server.update(), (32002, parse(b"\x81\xa1y\x03")));
        server.report(32002);
        assert_eq!(server.later_update(), (40002, Dict::new()));
    });
}

/// The client may hold either of the two.
#[test]
fn of_two_updates_with_a_label_the_smaller_counts() {
    both(|kind| {
        let mut server = Server::new(kind, 1, b"\x82\xa1a\xa3aaa\xa1b\xa3bbb");
        assert_eq!(server.update_within(23), (1, parse(b"\x81\xa1a\xa3aaa")));
        assert_eq!(server.update(), (1, parse(b"\x82\xa1a\xa3aaa\xa1b\xa3bbb")));
        server.report(1);
        server.push(2, b"\x80");
        assert_eq!(server.update(), (2, parse(b"\x81\xa1b\xa3bbb")));
    });
}

/// Behind the last label there is, changes wait.
#[test]
fn under_the_last_label_the_same_is_repeated() {
    both(|kind| {
        let mut server = Server::new(kind, 32767, b"\x81\xa1x\x01");
        assert_eq!(server.update(), (32767, parse(b"\x81\xa1x\x01")));
        server.push(32768, b"\x81\xa1y\x02");
        assert_eq!(server.update(), (32767, parse(b"\x81\xa1x\x01")));
        server.report(32767);
        assert_eq!(server.later_update(), (32768, parse(b"\x81\xa1y\x02")));
    });
}

#[test]
fn a_report_of_0_asks_for_everything() {
    both(|kind| {
        let mut server = Server::new(kind, 7, b"\x81\xa1x\x01");
        assert_eq!(server.update().0, 7);
        server.report(0);
        server.report(7);
        assert_eq!(server.update(), (7, Dict::new()));
        server.report(0);
        assert!(server.view.is_behind(&server.store));
        assert_eq!(server.update(), (7, parse(b"\x81\xa1x\x01")));
    });
}

#[test]
fn so_does_a_label_that_was_never_issued() {
    both(|kind| {
        let mut server = Server::new(kind, 7, b"\x81\xa1x\x01");
        server.report(500);
        assert_eq!(server.view.label(), Sqn::new(500));
        assert_eq!(server.later_update(), (32500, parse(b"\x81\xa1x\x01")));
        server.report(32500);
        assert_eq!(server.later_update(), (64500, Dict::new()));
        server.report(64500);
        assert_eq!(server.later_update(), (7, Dict::new()));
        server.report(7);
        server.push(8, b"\x81\xa1x\x02");
        server.report(65000);
        assert_eq!(server.view.label(), Sqn::new(65000), "nor does the client's own ever go back");
        assert_eq!(server.later_update(), (8, parse(b"\x81\xa1x\x02")));
    });
}

#[test]
fn a_leaf_may_exceed_the_budget_but_only_alone() {
    let mut state = b"\x82\xa1a\x01\xa1b\xc5\x02\x00".to_vec();
    state.extend([0; 512]);
    let mut server = Server::new(PeerKind::Ours, 100, &state);
    assert_eq!(server.update_within(200), (1, parse(b"\x81\xa1a\x01")));
    server.report(1);
    let update = server.bytes(200);
    assert_eq!(update.len(), 1 + 2 + 3 + 512 + 14);
    server.report(100);
    assert!(!server.view.is_behind(&server.store));
}

/// A client that is silent for long and then comes back with what it had.
#[test]
fn the_labels_in_flight_are_bounded() {
    both(|kind| {
        let mut server = Server::new(kind, 1, b"\x81\xa1x\x01");
        server.update();
        server.report(1);
        let mut last = 0;
        for tick in 2..2000 {
            server.push(tick, b"\x81\xa1x\x02");
            server.now += Duration::from_millis(25);
            last = server.update().0;
        }
        assert_eq!(last, 513);
        server.report(513);
        assert_eq!(server.update(), (1999, parse(b"\x81\xa1x\x02")));
    });
}

/// The last part to arrive was sent as one of several: the client cannot know that it has the whole.
#[test]
fn a_client_of_ours_hears_when_it_has_the_whole() {
    let mut server = Server::new(PeerKind::Ours, 3, THREE);
    let [a, b, c] = three();
    for expected in [(1, a.clone()), (2, b.clone()), (3, c)] {
        assert_eq!(server.update_within(23), expected);
    }
    server.report(3);
    server.push(5, b"\x80");
    assert_eq!(server.update_within(23), (4, a));
    assert_eq!(server.update_within(23), (5, b));
    server.report(4);
    server.report(5);
    assert!(server.view.is_behind(&server.store));
    assert_eq!(server.update_within(23), (5, Dict::new()));
    server.now += Duration::from_millis(100);
    let update = server.bytes(23);
    assert_eq!(msgpack::update_label(&update).unwrap(), (Sqn::new(6), false));
    server.report(6);
    assert!(!server.view.is_behind(&server.store));
}

/// A label further ahead than a hop, and then more than one package and a game that rests.
#[test]
fn a_label_far_ahead_that_got_lost_holds_nothing_up() {
    for kind in [PeerKind::Ours, PeerKind::Original] {
        let mut server = Server::new(kind, 32_002, b"\x81\xa1a\x01");
        assert_eq!(server.update().0, 32_002, "and it is lost");
        let mut large = b"\x81\xa1b\x8f".to_vec();
        for key in 0..15 {
            large.extend([key, 0xd9, 200]);
            large.extend([b'x'; 200]);
        }
        server.push(32_003, &large);
        server.now += Duration::from_secs(1);
        let mut reported = 0;
        for _ in 0..200 {
            server.now += Duration::from_millis(25);
            let (label, _) = server.update();
            if Sqn::new(label).newer_than(Sqn::new(reported)) {
                reported = label;
                server.report(label);
            }
        }
        assert!(!server.view.is_behind(&server.store), "{kind:?} is stuck at {reported}");
    }
}
