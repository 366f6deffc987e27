//! The thread of a server with endpoints made for the test.
#![allow(clippy::disallowed_methods, reason = "a test is a peer of its own")]

use std::collections::VecDeque;
use std::net::UdpSocket as Plain;

use super::*;
use crate::net::clock;

/// Sends back what comes, and a datagram to the last sender on a grid.
#[derive(Default)]
struct Echo {
    answers: VecDeque<(SocketAddr, Vec<u8>)>,
    grid: Option<(SocketAddr, Duration, Duration)>,
    timeouts: u32,
    notices: VecDeque<Notice>,
}

impl Endpoint for Echo {
    fn handle_datagram(&mut self, now: Duration, from: SocketAddr, bytes: &[u8]) {
        assert!(bytes != b"die", "as asked");
        if let Some(interval) = bytes.strip_prefix(b"every ") {
            let interval = Duration::from_millis(u64::from(interval[0]));
            self.grid = Some((from, now + interval, interval));
        }
        self.answers.push_back((from, bytes.to_vec()));
    }

    fn handle_timeout(&mut self, now: Duration) {
        let Some((to, at, interval)) = &mut self.grid else { return };
        while *at <= now {
            *at += *interval;
            self.timeouts += 1;
            self.answers.push_back((*to, b"tick".to_vec()));
        }
    }

    fn poll_transmit(&mut self, _now: Duration, out: &mut Vec<u8>) -> Option<SocketAddr> {
        let (to, bytes) = self.answers.pop_front()?;
        assert!(bytes != b"stumble", "as asked");
        out.extend_from_slice(&bytes);
        Some(to)
    }

    fn poll_timeout(&self) -> Option<Duration> {
        self.grid.map(|(_, at, _)| at)
    }

    fn poll_notice(&mut self) -> Option<Notice> {
        self.notices.pop_front()
    }

    fn close(&mut self, _now: Duration) {
        self.notices.push_back(Notice::Failed("closed".into()));
    }
}

fn start(port: u16) -> Result<(Shard<Echo>, Arc<Inbox>), NetError> {
    let inbox = Arc::new(Inbox::new());
    let socket = udp::bind("127.0.0.1", port)?;
    Ok((Shard::start(None, socket, Echo::default(), Arc::clone(&inbox)).unwrap(), inbox))
}

fn peer(shard: &Shard<Echo>) -> Plain {
    let peer = Plain::bind("127.0.0.1:0").unwrap();
    peer.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    peer.connect(shard.address).unwrap();
    peer
}

fn receive(peer: &Plain) -> Vec<u8> {
    let mut buffer = [0; 4096];
    let len = peer.recv(&mut buffer).unwrap();
    buffer[..len].to_vec()
}

fn drain(inbox: &Inbox) -> Vec<String> {
    let mut notices = Vec::new();
    inbox.drain(&mut notices);
    notices.iter().map(|notice| format!("{notice:?}")).collect()
}

#[test]
fn datagrams_go_through_the_endpoint() {
    let (shard, inbox) = start(0).unwrap();
    let peers: Vec<_> = (0..5).map(|_| peer(&shard)).collect();
    for n in 0..100_u8 {
        for (index, peer) in peers.iter().enumerate() {
            peer.send(&[n, index as u8]).unwrap();
        }
        for (index, peer) in peers.iter().enumerate() {
            assert_eq!(receive(peer), [n, index as u8]);
        }
    }
    shard.stop();
    let stats = shard.counters.snapshot();
    assert_eq!((stats.datagrams_received, stats.datagrams_sent), (500, 500));
    assert_eq!(drain(&inbox), ["Failed(\"closed\")", "Stopped"]);
}

#[test]
fn deadlines_are_kept_without_traffic() {
    let (shard, _) = start(0).unwrap();
    let peer = peer(&shard);
    let start = clock::now();
    peer.send(b"every \x05").unwrap();
    assert_eq!(receive(&peer), b"every \x05");
    for _ in 0..40 {
        assert_eq!(receive(&peer), b"tick");
    }
    let took = clock::now().abs_diff(start);
    assert!(took >= Duration::from_millis(195) && took < Duration::from_secs(2), "{took:?}");
}

#[test]
fn commands_and_questions_run_in_the_thread_and_the_last_answer_stays() {
    let (shard, inbox) = start(0).unwrap();
    assert_eq!(shard.query(|echo| echo.timeouts), Some(0));
    assert!(shard.call(|echo, now| {
        echo.timeouts = 7;
        echo.notices.push_back(Notice::Failed(format!("{}", now.is_zero())));
    }));
    assert_eq!(shard.query(|echo| echo.timeouts), Some(7));
    assert!(inbox.wait(Some(Duration::from_secs(5))));
    shard.stop();
    assert_eq!(shard.query(|echo| echo.timeouts), Some(7), "what is left can be asked");
    assert!(!shard.call(|_, _| unreachable!()));
    shard.stop();
}

#[test]
fn what_the_last_command_says_goes_out() {
    let (shard, _) = start(0).unwrap();
    let peer = peer(&shard);
    let to = peer.local_addr().unwrap();
    assert!(shard.call(move |echo, _| echo.answers.push_back((to, b"bye".to_vec()))));
    shard.stop();
    assert_eq!(receive(&peer), b"bye");
}

#[test]
fn a_panic_is_reported_and_the_loop_goes_on() {
    let (shard, inbox) = start(0).unwrap();
    let peer = peer(&shard);
    for _ in 0..3 {
        peer.send(b"die").unwrap();
        std::thread::sleep(Duration::from_millis(15));
    }
    shard.call(|_, _| panic!("in a command"));
    peer.send(b"alive").unwrap();
    assert_eq!(receive(&peer), b"alive");
    shard.stop();
    assert_eq!(shard.counters.snapshot().panics, 4);
    assert_eq!(
        drain(&inbox),
        ["Failed(\"as asked\")", "Failed(\"closed\")", "Stopped"],
        "said once a second"
    );
}

#[test]
fn a_flood_does_not_keep_it_from_stopping_or_from_its_deadlines() {
    let (shard, _) = start(0).unwrap();
    let flooded = shard.address;
    let flood = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let flooder = std::thread::spawn({
        let flood = Arc::clone(&flood);
        let socket = Plain::bind("127.0.0.1:0").unwrap();
        move || {
            while flood.load(std::sync::atomic::Ordering::Relaxed) {
                let _ = socket.send_to(b"x", flooded);
            }
        }
    });
    let peer = peer(&shard);
    let mut told = false;
    // The flood may push it out of the receive buffer.
    for _ in 0..100 {
        peer.send(b"every \x02").unwrap();
        peer.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        told |= peer.recv(&mut [0; 16]).is_ok();
        if told {
            break;
        }
    }
    assert!(told);
    peer.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    for _ in 0..10 {
        receive(&peer);
    }
    let start = clock::now();
    shard.stop();
    assert!(clock::now().abs_diff(start) < Duration::from_secs(1));
    flood.store(false, std::sync::atomic::Ordering::Relaxed);
    flooder.join().unwrap();
}

#[test]
fn two_hundred_starts_and_stops_on_one_port() {
    let (shard, _) = start(0).unwrap();
    let port = shard.address.port();
    assert!(matches!(start(port), Err(NetError::AddressInUse { .. })));
    drop(shard);
    for round in 0..200 {
        let (shard, inbox) = start(port).unwrap();
        let peer = peer(&shard);
        peer.send(b"?").unwrap();
        assert_eq!(receive(&peer), b"?", "round {round}");
        assert!(matches!(start(port), Err(NetError::AddressInUse { .. })));
        shard.stop();
        assert_eq!(drain(&inbox).last().unwrap(), "Stopped");
    }
}

#[test]
fn after_a_pause_the_socket_is_looked_at_before_anything_is_due() {
    let (shard, _inbox) = start(0).unwrap();
    let peer = peer(&shard);
    peer.send(b"every \xff").unwrap();
    assert_eq!(receive(&peer), b"every \xff");
    let before = clock::now();
    // A panic while sending makes the loop pause for ten milliseconds, long before the next tick.
    peer.send(b"stumble").unwrap();
    std::thread::sleep(Duration::from_millis(5));
    peer.send(b"there?").unwrap();
    assert_eq!(receive(&peer), b"there?");
    assert!(clock::now().abs_diff(before) < Duration::from_millis(200), "before the tick");
}
