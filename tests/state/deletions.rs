//! How clients hear that something was deleted, and how long a server keeps it in mind.

use pygase::state::{PeerKind, View};

use crate::{
    model::{Dict, parse},
    server::{BUDGET, Server, both},
};

#[test]
fn a_deletion_is_repeated_unchanged_until_it_is_reported() {
    let mut server = Server::new(PeerKind::Original, 7, b"\x82\xa1x\x01\xa1y\x02");
    assert_eq!(server.update().0, 7);
    server.report(7);
    server.push(8, b"\x81\xa1x\xc4\x04\xd2\x81\xe5\xba");
    let deletion = server.bytes(BUDGET);
    assert_eq!(deletion, b"\x82\xa1x\xc4\x04\xd2\x81\xe5\xba\xaatime_order\xcd\x00\x08");
    server.push(9, b"\x81\xa1y\x03");
    server.push(10, b"\x81\xa1x\x04");
    assert_eq!(server.bytes(BUDGET), deletion);
    server.report(7);
    assert_eq!(server.bytes(BUDGET), deletion);
    server.report(8);
    assert_eq!(server.update(), (10, parse(b"\x82\xa1y\x03\xa1x\x04")));
}

#[test]
fn a_deletion_is_not_pinned_for_ours() {
    let mut server = Server::new(PeerKind::Ours, 7, b"\x82\xa1x\x01\xa1y\x02");
    assert_eq!(server.update().0, 7);
    server.report(7);
    server.push(8, b"\x81\xa1x\xc4\x04\xd2\x81\xe5\xba");
    assert_eq!(server.update(), (8, parse(b"\x81\xa1x\xc4\x04\xd2\x81\xe5\xba")));
    server.push(9, b"\x81\xa1y\x03");
    assert_eq!(server.update(), (9, parse(b"\x82\xa1x\xc4\x04\xd2\x81\xe5\xba\xa1y\x03")));
}

#[test]
fn what_an_original_never_was_sent_is_not_deleted_there() {
    let mut server = Server::new(PeerKind::Original, 7, b"\x80");
    assert_eq!(server.update().0, 7);
    server.report(7);
    server.push(8, b"\x81\xa1x\x01");
    server.push(9, b"\x82\xa1x\xc4\x04\xd2\x81\xe5\xba\xa1y\x02");
    assert_eq!(server.update(), (9, parse(b"\x81\xa1y\x02")));
}

#[test]
fn a_deletion_is_repeated_whole_or_not_at_all() {
    let mut server = Server::new(PeerKind::Original, 7, b"\x82\xa1x\x01\xa1y\x02");
    assert_eq!(server.update().0, 7);
    server.report(7);
    server.push(8, b"\x82\xa1x\xc4\x04\xd2\x81\xe5\xba\xa1y\x03");
    let deletion = server.update();
    assert_eq!(deletion, (8, parse(b"\x82\xa1x\xc4\x04\xd2\x81\xe5\xba\xa1y\x03")));
    assert_eq!(server.update_within(23), (7, Dict::new()));
    assert_eq!(server.update(), deletion);
}

/// It may have or may not have what was sent and not confirmed. What it has for sure can be deleted.
#[test]
fn what_an_original_may_not_have_is_made_sure_of_before_it_is_deleted() {
    let mut server = Server::new(PeerKind::Original, 7, b"\x80");
    assert_eq!(server.update().0, 7);
    server.report(7);
    server.push(8, b"\x82\xa1x\x81\xa1a\x01\xa1y\x01");
    let with_it = server.update();
    assert_eq!(with_it, (8, parse(b"\x82\xa1x\x81\xa1a\x01\xa1y\x01")));
    server.push(9, b"\x82\xa1x\xc4\x04\xd2\x81\xe5\xba\xa1y\x02");
    assert_eq!(server.update(), with_it);
    server.push(10, b"\x81\xa1z\x03");
    assert_eq!(server.update(), with_it);
    server.report(8);
    let without_it = b"\x83\xa1x\xc4\x04\xd2\x81\xe5\xba\xa1y\x02\xa1z\x03";
    assert_eq!(server.update(), (10, parse(without_it)));
}

/// What is in flight can be sent no more, as there is less room now.
#[test]
fn what_an_original_may_not_have_goes_out_as_it_was_before_it_is_deleted() {
    let mut server = Server::new(PeerKind::Original, 7, b"\x80");
    assert_eq!(server.update().0, 7);
    server.report(7);
    server.push(8, b"\x82\xa1x\x81\xa1a\x01\xa1y\xa9yyyyyyyyy");
    assert_eq!(server.update().0, 8);
    server.push(9, b"\x81\xa1x\xc4\x04\xd2\x81\xe5\xba");
    assert_eq!(server.update_within(30), (8, Dict::new()));
    let once_more = server.update();
    assert_eq!(once_more, (9, parse(b"\x81\xa1x\x81\xa1a\x01")));
    server.push(10, b"\x81\xa1y\x01");
    assert_eq!(server.update(), once_more);
    server.report(9);
    assert_eq!(server.update(), (10, parse(b"\x82\xa1x\xc4\x04\xd2\x81\xe5\xba\xa1y\x01")));
}

#[test]
fn a_new_view_needs_no_tombstone_from_before_it() {
    both(|kind| {
        let mut server = Server::new(kind, 7, b"\x82\xa1x\x01\xa1y\x02");
        server.push(8, b"\x81\xa1x\xc4\x04\xd2\x81\xe5\xba");
        assert_eq!(server.store.tree().tombstones(), 1);
        server.view = View::new(&server.store, kind);
        assert_eq!(server.update(), (8, parse(b"\x81\xa1y\x02")));
        assert_eq!(server.view.floor(), server.store.tree().revision());
        server.store.forget(server.view.floor());
        assert_eq!(server.store.tree().tombstones(), 0);
    });
}

#[test]
fn a_tombstone_stays_until_it_was_confirmed() {
    both(|kind| {
        let mut server = Server::new(kind, 7, b"\x82\xa1x\x01\xa1y\x02");
        server.update();
        server.report(7);
        server.push(8, b"\x81\xa1x\xc4\x04\xd2\x81\xe5\xba");
        server.update();
        server.store.forget(server.view.floor());
        assert_eq!(server.store.tree().tombstones(), 1);
        server.report(8);
        server.store.forget(server.view.floor());
        assert_eq!(server.store.tree().tombstones(), 0);
    });
}
