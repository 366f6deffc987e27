//! The queue: what it keeps, what it says once, and who is woken.

use std::thread;

use super::queue::MAX_RECORDS;
use super::*;
use crate::connection::Config;
use crate::endpoint::{Peer, ServerConnection, ServerEvent};
use crate::wire::Sqn;

const READY: Notice = Notice::Client(ClientNotice::Ready);

fn drain(inbox: &Inbox) -> Vec<Notice> {
    let mut notices = Vec::new();
    inbox.drain(&mut notices);
    notices
}

#[test]
fn what_goes_in_comes_out_in_order() {
    let inbox = Inbox::new();
    assert!(!inbox.wait(Some(Duration::ZERO)));
    inbox.push(Notice::Failed("a".into()));
    inbox.append(&mut vec![Notice::Client(ClientNotice::Unanswered), Notice::Stopped]);
    assert!(inbox.wait(None));
    assert!(matches!(
        drain(&inbox).as_slice(),
        [Notice::Failed(_), Notice::Client(ClientNotice::Unanswered), Notice::Stopped]
    ));
    assert!(!inbox.wait(Some(Duration::from_millis(1))));
}

#[test]
fn ready_waits_at_most_once() {
    let inbox = Inbox::new();
    for _ in 0..3 {
        inbox.push(READY);
    }
    assert_eq!(drain(&inbox).len(), 1);
    inbox.append(&mut vec![READY, Notice::Stopped, READY]);
    assert_eq!(drain(&inbox).len(), 2);
}

#[test]
fn of_a_client_each_kind_of_news_waits_once_and_of_records_a_number() {
    let inbox = Inbox::new();
    let peers: Vec<_> = (1..=3)
        .map(|port| {
            let at = std::net::SocketAddr::from(([10, 0, 0, 1], port));
            Peer::new(at, ServerConnection::new(Config::default(), Sqn::ZERO))
        })
        .collect();
    for _ in 0..10_000 {
        inbox.append(&mut vec![Notice::Server(ServerEvent::ShutdownRequested)]);
        for peer in &peers {
            inbox.push(Notice::Server(ServerEvent::Moved(Arc::clone(peer), peer.address())));
        }
        inbox.report("a defect".into());
        inbox.log(Record { level: log::WARNING, text: String::new() });
    }
    assert_eq!(inbox.len(), 1 + 3 + MAX_RECORDS);
    let told = drain(&inbox);
    let Some(Notice::Log(last)) = told.last() else { panic!("{told:?}") };
    assert_eq!(last.text, "15904 log records were dropped: too many waited");
    inbox.push(Notice::Server(ServerEvent::Moved(Arc::clone(&peers[0]), peers[0].address())));
    assert_eq!(drain(&inbox).len(), 1, "what is taken may come again");
}

#[test]
fn arrivals_can_be_taken_before_all_else_and_ends_are_counted_until_they_are() {
    use ServerEvent::{Connected, Host, Ready, Removed};

    let inbox = Inbox::new();
    let at = std::net::SocketAddr::from(([10, 0, 0, 1], 7));
    let peer = Peer::new(at, ServerConnection::new(Config::default(), Sqn::ZERO));
    let notice = |kind: fn(Arc<Peer>) -> ServerEvent| Notice::Server(kind(Arc::clone(&peer)));
    inbox.append(&mut vec![notice(ServerEvent::Ready), notice(ServerEvent::Connected)]);
    inbox.append(&mut vec![notice(ServerEvent::Removed), notice(|peer| ServerEvent::Host(Some(peer)))]);
    assert!(inbox.has_arrivals());
    let mut arrivals = Vec::new();
    inbox.drain_arrivals(&mut arrivals);
    assert!(matches!(arrivals[..], [Notice::Server(Connected(_)), Notice::Server(Host(Some(_)))]));
    assert!(!inbox.has_arrivals());
    assert_eq!((inbox.len(), inbox.ends()), (2, 1));
    assert!(matches!(drain(&inbox)[..], [Notice::Server(Ready(_)), Notice::Server(Removed(_))]));
    assert_eq!((inbox.len(), inbox.ends()), (0, 0));
}

#[test]
fn a_thread_that_waits_is_woken_and_misses_nothing() {
    let inbox = Arc::new(Inbox::new());
    let sender = thread::spawn({
        let inbox = Arc::clone(&inbox);
        move || {
            for _ in 0..10_000 {
                inbox.push(Notice::Stopped);
            }
        }
    });
    let mut got = 0;
    while got < 10_000 {
        assert!(inbox.wait(Some(Duration::from_secs(10))));
        got += drain(&inbox).len();
    }
    sender.join().unwrap();
}

#[test]
fn closing_wakes_and_takes_nothing_more() {
    let inbox = Arc::new(Inbox::new());
    inbox.push(Notice::Stopped);
    inbox.close();
    inbox.push(Notice::Stopped);
    assert!(inbox.wait(None));
    assert_eq!(drain(&inbox).len(), 1);
    assert!(inbox.is_closed());
    assert!(!inbox.wait(None), "closed and empty");

    let inbox = Arc::new(Inbox::new());
    let waiting = thread::spawn({
        let inbox = Arc::clone(&inbox);
        move || inbox.wait(None)
    });
    thread::sleep(Duration::from_millis(10));
    inbox.close();
    assert!(!waiting.join().unwrap());
}

#[test]
fn waking_needs_no_notice_and_lasts_until_something_is_taken() {
    let inbox = Inbox::new();
    inbox.wake();
    inbox.wake();
    assert!(inbox.wait(None));
    assert!(inbox.wait(None));
    assert!(drain(&inbox).is_empty());
    assert!(!inbox.wait(Some(Duration::ZERO)));
}

#[cfg(all(target_os = "linux", not(feature = "portable-io")))]
#[test]
fn the_descriptor_is_readable_while_there_is_something() {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    let inbox = Inbox::new();
    assert!(inbox.as_raw_fd().is_some());
    let readable = || {
        let fd = inbox.signal.0.as_ref().unwrap();
        let mut fds = [PollFd::new(fd, PollFlags::IN)];
        poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap() == 1
    };
    assert!(!readable());
    inbox.push(READY);
    inbox.push(Notice::Stopped);
    assert!(readable());
    drain(&inbox);
    assert!(!readable());
    inbox.close();
    assert!(readable());
}

#[cfg(not(all(target_os = "linux", not(feature = "portable-io"))))]
#[test]
fn there_is_no_descriptor() {
    assert_eq!(Inbox::new().as_raw_fd(), None);
}
