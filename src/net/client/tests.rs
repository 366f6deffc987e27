//! Clients against sockets of the standard library that speak just enough of the protocol.
#![allow(clippy::disallowed_methods, reason = "a test is a peer of its own")]

use std::net::UdpSocket as Plain;
use std::time::Duration;

use super::*;
use crate::connection::Status;
use crate::wire::{Body, Header, Kind, Package, Sqn};

const PATIENCE: Duration = Duration::from_secs(10);

struct Client {
    driver: UdpClient,
    connection: Arc<Mutex<ClientConnection>>,
    inbox: Arc<Inbox>,
}

impl Client {
    fn start(host: &str, port: u16) -> Self {
        Self::start_at(udp::resolve(host, port).unwrap())
    }

    fn start_at(remotes: Vec<SocketAddr>) -> Self {
        let connection = Arc::new(Mutex::new(ClientConnection::default()));
        let inbox = Arc::new(Inbox::new());
        let (shared, told) = (Arc::clone(&connection), Arc::clone(&inbox));
        let driver = UdpClient::start_at(remotes, None, "test", 0, shared, told).unwrap();
        Self { driver, connection, inbox }
    }

    fn status(&self) -> Status {
        lock(&self.connection).connection().status()
    }

    /// Waits until `condition` holds.
    fn wait_for(&self, condition: impl Fn(&Self) -> bool) {
        let start = clock::now();
        while !condition(self) {
            assert!(clock::now().abs_diff(start) < PATIENCE, "{:?} {:?}", self.status(), self.driver.stats());
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn notices(&self) -> Vec<String> {
        let mut notices = Vec::new();
        self.inbox.drain(&mut notices);
        notices.iter().map(|notice| format!("{notice:?}")).collect()
    }
}

fn server(host: &str) -> Plain {
    let server = Plain::bind((host, 0)).unwrap();
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    server
}

/// Receives one package of a client: where it came from, its header and the time order it reports.
fn receive(server: &Plain) -> (SocketAddr, Header, Sqn) {
    let mut buffer = [0; 4096];
    let (len, from) = server.recv_from(&mut buffer).unwrap();
    let package = Package::decode(Kind::Client, &buffer[..len]).unwrap();
    let Body::Client { time_order } = package.body else { unreachable!() };
    (from, package.header, time_order)
}

/// Answers a package of a client with an update that changes nothing.
fn answer(server: &Plain, to: SocketAddr, sequence: u16, header: Header) {
    let mut bytes = Vec::new();
    let answer = Header { sequence: Sqn::new(sequence), ack: header.sequence, ack_bitfield: 0 };
    let update = b"\x81\xaatime_order\xcd\x00\x00";
    crate::wire::PackageWriter::new(&mut bytes, answer, Body::Server { update }).unwrap();
    server.send_to(&bytes, to).unwrap();
}

#[test]
fn a_dead_port_is_tried_on_and_on() {
    let dead = server("127.0.0.1").local_addr().unwrap();
    let client = Client::start("127.0.0.1", dead.port());
    client.wait_for(|client| client.driver.stats().refused > 5);
    assert_eq!(client.status(), Status::Connecting);
    client.wait_for(|client| client.notices().iter().any(|notice| notice == "Client(Unanswered)"));
    assert_eq!(client.status(), Status::Connecting);
    // Somebody comes.
    let server = Plain::bind(dead).unwrap();
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    let (from, header, _) = receive(&server);
    answer(&server, from, 1, header);
    client.wait_for(|client| client.status() == Status::Connected);
    assert_eq!(client.driver.remote_addr(), dead);
}

// macOS has no second loopback address.
#[cfg(not(target_os = "macos"))]
#[test]
fn another_address_is_tried_while_the_first_refuses() {
    // Two addresses of this machine, and a server on the second only.
    let server = server("127.0.0.2");
    let address = server.local_addr().unwrap();
    let refusing = SocketAddr::from(([127, 0, 0, 1], address.port()));
    let client = Client::start_at(vec![refusing, address]);
    let (from, header, _) = receive(&server);
    answer(&server, from, 1, header);
    client.wait_for(|client| client.status() == Status::Connected);
    assert_eq!(client.driver.remote_addr(), server.local_addr().unwrap());
}

#[test]
fn only_the_server_is_heard() {
    let server = server("127.0.0.1");
    let client = Client::start("127.0.0.1", server.local_addr().unwrap().port());
    let (from, header, _) = receive(&server);
    answer(&self::server("127.0.0.1"), from, 9, header);
    server.send_to(b"garbage", from).unwrap();
    client.wait_for(|client| client.driver.stats().datagrams_received == 1);
    assert_eq!(client.status(), Status::Connecting);
    answer(&server, from, 1, header);
    client.wait_for(|client| client.status() == Status::Connected);
}

#[test]
fn nothing_is_sent_after_stopping_or_disconnecting() {
    let server = server("127.0.0.1");
    let port = server.local_addr().unwrap().port();
    for is_stopped in [true, false] {
        let client = Client::start("localhost", port);
        let (from, header, _) = receive(&server);
        answer(&server, from, 1, header);
        client.wait_for(|client| client.status() == Status::Connected);
        let start = clock::now();
        if is_stopped {
            client.driver.stop();
        } else {
            assert!(client.driver.disconnect(false, PATIENCE));
        }
        assert!(clock::now().abs_diff(start) < Duration::from_millis(500));
        assert!(client.driver.is_over());
        assert_eq!(client.status(), Status::Disconnected);
        assert_eq!(client.notices().last().unwrap(), "Client(Closed)");
        // Twice is once.
        client.driver.stop();
        assert!(client.driver.disconnect(true, PATIENCE));
        // The port is closed: what was sent before is all there is.
        server.set_nonblocking(true).unwrap();
        while server.recv_from(&mut [0; 4096]).is_ok() {}
        server.set_nonblocking(false).unwrap();
        thread::sleep(Duration::from_millis(50));
        server.set_nonblocking(true).unwrap();
        assert!(server.recv_from(&mut [0; 4096]).is_err(), "nothing after the end");
        server.set_nonblocking(false).unwrap();
    }
}

#[test]
fn shutting_the_server_down_says_so_three_times() {
    let server = server("127.0.0.1");
    let client = Client::start("127.0.0.1", server.local_addr().unwrap().port());
    let (from, header, _) = receive(&server);
    answer(&server, from, 1, header);
    client.wait_for(|client| client.status() == Status::Connected);
    let Client { driver, .. } = client;
    assert!(driver.disconnect(true, Duration::from_millis(1500)));
    let mut copies = 0;
    let mut buffer = [0; 4096];
    while copies < 3 {
        let len = server.recv(&mut buffer).unwrap();
        copies += usize::from(&buffer[..len] == b"shutdown");
    }
}

#[test]
fn many_clients_share_one_thread() {
    let server = server("127.0.0.1");
    let port = server.local_addr().unwrap().port();
    let clients: Vec<_> = (0..50).map(|_| Client::start("127.0.0.1", port)).collect();
    let mut sequence = 0;
    while !clients.iter().all(|client| client.status() == Status::Connected) {
        let (from, header, _) = receive(&server);
        sequence += 1;
        answer(&server, from, sequence, header);
    }
    #[cfg(target_os = "linux")]
    {
        let names = std::fs::read_dir("/proc/self/task")
            .unwrap()
            .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
        assert_eq!(names.filter(|name| name.trim() == "pygase-clients").count(), 1);
    }
}

#[test]
fn mistakes_of_the_caller() {
    let start = |host, port| {
        let connection = Arc::new(Mutex::new(ClientConnection::default()));
        UdpClient::start(host, port, connection, Arc::default())
    };
    assert!(matches!(start("no.such.host.invalid", 1), Err(NetError::Resolve { .. })));
    let error = start("127.0.0.1", 0).err().unwrap();
    assert_eq!(error.to_string(), "cannot connect to 127.0.0.1:0: a server has a port from 1 to 65535");
}
