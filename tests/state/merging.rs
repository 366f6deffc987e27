//! What a tree holds after updates and whole states were merged into it.

use proptest::prelude::*;
use pygase::state::{Replica, TooLarge, Tree};
use pygase::wire::msgpack;

use crate::model::parse;

const DELETE: &[u8] = b"\xc4\x04\xd2\x81\xe5\xba";

fn after(updates: &[&[u8]]) -> Vec<u8> {
    let mut tree = Tree::new();
    for update in updates {
        tree.merge(update).unwrap();
    }
    tree.to_msgpack()
}

fn deleting(key: &[u8]) -> Vec<u8> {
    [b"\x81", key, DELETE].concat()
}

#[test]
fn maps_merge_and_everything_else_replaces() {
    assert_eq!(
        after(&[b"\x81\xa1m\x81\x01\x02", b"\x81\xa1m\x81\x03\x04"]),
        b"\x81\xa1m\x82\x01\x02\x03\x04"
    );
    assert_eq!(after(&[b"\x81\xa1m\x81\x01\x02", b"\x81\xa1m\x07"]), b"\x81\xa1m\x07");
    assert_eq!(after(&[b"\x81\xa1m\x07", b"\x81\xa1m\x81\x01\x02"]), b"\x81\xa1m\x81\x01\x02");
    assert_eq!(after(&[b"\x81\xa1m\x81\x01\x02", b"\x81\xa1m\x80"]), b"\x81\xa1m\x81\x01\x02");
    assert_eq!(after(&[b"\x81\xa1m\x91\x01", b"\x81\xa1m\x91\x02"]), b"\x81\xa1m\x91\x02");
    assert_eq!(after(&[b"\x81\xa1m\x07", b"\x81\xa1m\x80"]), b"\x81\xa1m\x80");
}

#[test]
fn the_marker_removes_what_is_there_and_nothing_else() {
    assert_eq!(after(&[b"\x82\xa1m\x01\xa1n\x02", &deleting(b"\xa1m")]), b"\x81\xa1n\x02");
    assert_eq!(after(&[&deleting(b"\xa1m")]), b"\x80");
    let inside = [b"\x81\xa1m\x82\x01\x02\x03", DELETE].concat();
    assert_eq!(after(&[&inside]), b"\x81\xa1m\x81\x01\x02");
    let emptied = [b"\x81\xa1m\x81\x01", DELETE].concat();
    assert_eq!(after(&[b"\x81\xa1m\x81\x01\x02", &emptied]), b"\x81\xa1m\x80");
    assert_eq!(
        after(&[b"\x81\xa1m\x81\x01\x02", &emptied, b"\x81\xa1m\x81\x05\x06"]),
        b"\x81\xa1m\x81\x05\x06"
    );
}

#[test]
fn the_time_order_is_no_part_of_the_state_but_the_game_status_is() {
    let update = b"\x83\xa1m\x81\xaatime_order\x05\xabgame_status\x01\xaatime_order\x05";
    assert_eq!(after(&[update]), b"\x82\xa1m\x81\xaatime_order\x05\xabgame_status\x01");
}

#[test]
fn keys_that_python_calls_equal_are_one() {
    let mut tree = Tree::new();
    for key in [&b"\x01"[..], b"\xc3", b"\xca\x3f\x80\x00\x00", b"\xcd\x00\x01"] {
        tree.merge(&[b"\x81\xa1m\x81", key, &[key.len() as u8]].concat()).unwrap();
        assert_eq!(tree.to_msgpack(), [&b"\x81\xa1m\x81\x01"[..], &[key.len() as u8]].concat());
    }
}

#[test]
fn replacing_touches_what_differs() {
    let mut tree = Tree::new();
    tree.merge(b"\x83\xa1a\x01\xa1b\x82\x01\x02\x03\x04\xa1c\x05").unwrap();
    let before = tree.revision();
    assert_eq!(tree.replace(b"\x83\xa1a\x01\xa1b\x82\x01\x02\x03\x04\xa1c\x05").unwrap().changed, 0);
    assert_eq!(tree.revision(), before);
    let state = b"\x84\xa1a\x01\xa1b\x82\x01\x09\x03\x04\xa1d\x80\xaatime_order\x07";
    assert_eq!(tree.replace(state).unwrap().changed, 3);
    assert_eq!(parse(&tree.to_msgpack()), parse(state));
    assert_eq!(tree.replace(b"\x81\xa1b\x80").unwrap().changed, 4);
    assert_eq!(tree.to_msgpack(), b"\x81\xa1b\x80");
    assert_eq!(tree.tombstones(), 5);
    tree.forget(tree.revision());
    assert_eq!((tree.tombstones(), tree.len(), tree.is_empty()), (0, 1, false));
}

#[test]
fn a_leaf_no_package_can_carry_is_left_out_and_reported() {
    let text = |length: u16| [&b"\xda"[..], &length.to_be_bytes(), &vec![b'x'; length.into()]].concat();
    let mut tree = Tree::new();
    tree.merge(b"\x81\xa7players\x81\x03\x81\xa4name\x01").unwrap();
    let update = [b"\x82\xa7players\x81\x03\x82\xa4name", &text(2048)[..], b"\xa3age\x02\xa1m\x80"].concat();
    let merged = tree.merge(&update).unwrap();
    let package = 12 + 2 + 1 + 8 + 1 + 1 + 1 + 5 + 3 + 2048 + 16;
    let expected = TooLarge { path: "players[3].name".into(), size: package, limit: 2048 };
    assert_eq!((merged.changed, merged.too_large), (2, vec![expected]));
    assert_eq!(tree.to_msgpack(), b"\x82\xa7players\x81\x03\x82\xa4name\x01\xa3age\x02\xa1m\x80");
    // The largest there may be: a package with an update that has nothing else.
    let largest = 2048 - (12 + 2 + 1 + 2 + 3 + 16);
    let update = [b"\x81\xa1t", &text(largest)[..]].concat();
    assert_eq!(tree.merge(&update).unwrap().too_large, []);
    let update = [b"\x81\xa1t", &text(largest + 1)[..]].concat();
    assert_eq!(tree.merge(&update).unwrap().too_large.len(), 1);
    // A key that leaves no room for anything, nor for its deletion.
    let update = [b"\x81", &text(2020)[..], b"\x81\x01\x02"].concat();
    assert_eq!(tree.merge(&update).unwrap().too_large.len(), 1);
}

#[test]
fn what_is_not_a_state_changes_nothing() {
    let mut tree = Tree::new();
    tree.merge(b"\x81\xa1a\x01").unwrap();
    let mut deep = b"\x81\xa1a".repeat(101);
    deep.push(1);
    for bytes in [&b""[..], b"\x01", b"\x91\x01", b"\x82\xa1b\x02\xa1c\xc1", b"\x82\xa1b\x02\xa1b\x03", &deep]
    {
        assert!(tree.merge(bytes).is_err(), "{bytes:02x?}");
        assert!(tree.replace(bytes).is_err(), "{bytes:02x?}");
        assert_eq!(tree.to_msgpack(), b"\x81\xa1a\x01");
    }
}

#[test]
fn the_deepest_state_there_may_be() {
    let mut state = b"\x81\xa1a".repeat(99);
    state.push(1);
    let mut deleted = b"\x81\xa1a".repeat(99);
    deleted.extend(DELETE);
    let mut tree = Tree::new();
    tree.merge(&state).unwrap();
    assert_eq!(tree.to_msgpack(), state);
    tree.merge(&deleted).unwrap();
    tree.merge(&state).unwrap();
    tree.merge(&deleting(b"\xa1a")).unwrap();
    assert_eq!((tree.len(), tree.tombstones()), (0, 99));
    tree.forget(tree.revision());
    assert_eq!(tree.tombstones(), 0);
}

#[test]
fn big_maps_have_big_headers() {
    for count in [15u32, 16, 17, 65535, 65536] {
        let mut state = Vec::new();
        msgpack::write_map_len(&mut state, count);
        for key in 0..count {
            msgpack::write_str(&mut state, &key.to_string());
            msgpack::write_uint(&mut state, 1);
        }
        assert_eq!(after(&[&state]), state);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the bytes are, a state comes of them or an error.
    #[test]
    fn no_bytes_do_harm(
        spoiled in prop::collection::vec((0usize..40, any::<u8>()), 0..4),
        cut in 0usize..60,
    ) {
        let state = b"\x83\xa1m\x82\x01\x92\x02\xc0\x02\x81\xa1k\xca\x3f\x80\x00\x00\xa2no\xc4\x04\xd2\x81\xe5\xba";
        let mut bytes = [&state[..], b"\xaatime_order\xcd\x00\x07"].concat();
        assert_eq!(msgpack::check(&bytes, msgpack::Limits::NETWORK), Ok(bytes.len()));
        for (at, byte) in spoiled {
            bytes[at] = byte;
        }
        bytes.truncate(cut);
        let mut tree = Tree::new();
        tree.merge(b"\x81\xa1m\x81\x01\x81\x02\x03").unwrap();
        let before = tree.to_msgpack();
        if tree.merge(&bytes).is_err() {
            prop_assert_eq!(&tree.to_msgpack(), &before);
        }
        parse(&tree.to_msgpack());
        let mut replica = Replica::new();
        if replica.apply(&bytes).is_ok_and(|applied| applied) {
            parse(&replica.pull().unwrap().update);
        }
    }
}
