//! Servers and clients over loopback, against each other and against a raw socket.
#![allow(clippy::disallowed_methods, reason = "a test is a peer of its own")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that panics has failed")]

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use pygase::ClientConnection;
use pygase::connection::{ConnectionEvent, Status};
use pygase::endpoint::{ServerConfig, ServerEvent};
use pygase::net::{ClientNotice, Inbox, NetError, Notice, UdpClient, UdpServer, clock};
use pygase::state::Store;
use pygase::wire::{Body, Header, Kind, Package, PackageWriter, Sqn, msgpack};

const PATIENCE: Duration = Duration::from_secs(10);

/// `{"x": 1}` and `{"x": 2}`.
const STATE: &[u8] = b"\x81\xa1x\x01";
const UPDATE: &[u8] = b"\x81\xa1x\x02";

struct Server {
    driver: UdpServer,
    store: Arc<Mutex<Store>>,
    inbox: Arc<Inbox>,
    /// Taken out of the inbox, not yet looked at.
    notices: Mutex<VecDeque<Notice>>,
}

impl Server {
    fn start(host: &str, port: u16) -> Result<Self, NetError> {
        let store = Arc::new(Mutex::new(Store::new(Sqn::new(1), STATE).unwrap()));
        let inbox = Arc::new(Inbox::new());
        let config = ServerConfig::default();
        let driver =
            UdpServer::start(host, port, config, Arc::clone(&store), Arc::clone(&inbox), Vec::new())?;
        Ok(Self { driver, store, inbox, notices: Mutex::default() })
    }

    fn port(&self) -> u16 {
        self.driver.local_addr().port()
    }

    /// Waits for the next event that `choose` chooses; those before it are passed over.
    fn wait_for<T>(&self, choose: impl Fn(&ServerEvent) -> Option<T>) -> T {
        let start = clock::now();
        let mut notices = self.notices.lock().unwrap();
        loop {
            let mut arrived = Vec::new();
            self.inbox.drain(&mut arrived);
            notices.extend(arrived);
            while let Some(notice) = notices.pop_front() {
                if let Notice::Server(event) = notice
                    && let Some(chosen) = choose(&event)
                {
                    return chosen;
                }
            }
            assert!(clock::now().abs_diff(start) < PATIENCE, "{:?}", self.driver.stats());
            self.inbox.wait(Some(Duration::from_millis(100)));
        }
    }
}

struct Client {
    driver: UdpClient,
    connection: Arc<Mutex<ClientConnection>>,
    inbox: Arc<Inbox>,
}

impl Client {
    fn start(host: &str, port: u16) -> Self {
        let connection = Arc::new(Mutex::new(ClientConnection::default()));
        let inbox = Arc::new(Inbox::new());
        let driver = UdpClient::start(host, port, Arc::clone(&connection), Arc::clone(&inbox)).unwrap();
        Self { driver, connection, inbox }
    }

    fn status(&self) -> Status {
        self.connection.lock().unwrap().connection().status()
    }

    fn wait_for<T>(&self, look: impl Fn(&mut ClientConnection) -> Option<T>) -> T {
        let start = clock::now();
        loop {
            if let Some(seen) = look(&mut self.connection.lock().unwrap()) {
                return seen;
            }
            assert!(clock::now().abs_diff(start) < PATIENCE, "{:?} {:?}", self.status(), self.driver.stats());
            thread::sleep(Duration::from_millis(2));
        }
    }

    fn wait_connected(&self) {
        self.wait_for(|client| (client.connection().status() == Status::Connected).then_some(()));
    }
}

/// A client of a few lines.
struct Raw {
    socket: UdpSocket,
    sequence: Sqn,
    ack: Sqn,
}

impl Raw {
    fn new(server: SocketAddr) -> Self {
        let socket = UdpSocket::bind((if server.is_ipv6() { "::1" } else { "127.0.0.1" }, 0)).unwrap();
        socket.connect(server).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket, sequence: Sqn::ZERO, ack: Sqn::ZERO }
    }

    fn send(&mut self) {
        self.sequence = self.sequence.next();
        let header = Header { sequence: self.sequence, ack: self.ack, ack_bitfield: 0 };
        let mut bytes = Vec::new();
        PackageWriter::new(&mut bytes, header, Body::Client { time_order: Sqn::ZERO }).unwrap();
        self.socket.send(&bytes).unwrap();
    }

    /// The update of the next package.
    fn receive(&mut self) -> Vec<u8> {
        let mut buffer = [0; 4096];
        let len = self.socket.recv(&mut buffer).unwrap();
        let package = Package::decode(Kind::Server, &buffer[..len]).unwrap();
        self.ack = package.header.sequence;
        let Body::Server { update } = package.body else { unreachable!() };
        update.to_vec()
    }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

#[test]
fn a_raw_peer_joins_and_follows() {
    let server = Server::start("127.0.0.1", 0).unwrap();
    let mut raw = Raw::new(server.driver.local_addr());
    raw.send();
    assert!(!contains(&raw.receive(), b"\xa1x"), "no state before the proof");
    raw.send();
    let peer = server.wait_for(|event| match event {
        ServerEvent::Connected(peer) => Some(Arc::clone(peer)),
        _ => None,
    });
    assert_eq!(peer.address(), raw.socket.local_addr().unwrap());
    while !contains(&raw.receive(), b"\xa1x\x01") {
        raw.send();
    }
    server.store.lock().unwrap().push(clock::now(), Sqn::new(2), UPDATE).unwrap();
    while !contains(&raw.receive(), b"\xa1x\x02") {
        raw.send();
    }
    let start = clock::now();
    for _ in 0..40 {
        raw.receive();
        raw.send();
    }
    let took = clock::now().abs_diff(start);
    assert!(took > Duration::from_millis(900) && took < Duration::from_secs(3), "40 packages in {took:?}");
    let stats = server.driver.stats();
    assert_eq!(stats.gauges.connections, 1);
    assert_eq!(stats.endpoint.proven, 1);
    assert_eq!(stats.socket.panics, 0);
    server.driver.stop();
    assert!(server.driver.stats().socket.datagrams_sent > 40);
    assert_eq!(peer.lock().connection().status(), Status::Disconnected);
}

#[test]
fn garbage_changes_nothing_but_counters() {
    let server = Server::start("127.0.0.1", 0).unwrap();
    let client = Client::start("127.0.0.1", server.port());
    client.wait_connected();
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    for n in 0..500_usize {
        let garbage: Vec<u8> = (0..n * 7).map(|i| (i * 31 + n) as u8).collect();
        stranger.send_to(&garbage, server.driver.local_addr()).unwrap();
        if n % 50 == 0 {
            thread::sleep(Duration::from_millis(5));
        }
    }
    thread::sleep(Duration::from_millis(200));
    assert_eq!(client.status(), Status::Connected);
    let stats = server.driver.stats();
    assert_eq!((stats.gauges.connections, stats.socket.panics), (1, 0));
    assert!(stats.endpoint.malformed > 100 && stats.socket.oversize > 100, "{stats:?}");
}

#[test]
fn ours_with_ours_shares_state_and_events() {
    for host in ["127.0.0.1", "localhost", "0.0.0.0", "::1", "::"] {
        let server = match Server::start(host, 0) {
            Ok(server) => server,
            Err(_) if host.contains(':') => continue, // not every machine has IPv6
            Err(e) => panic!("{host}: {e}"),
        };
        let client = Client::start(host, server.port());
        client.wait_connected();
        let peer = server.wait_for(|event| match event {
            ServerEvent::Connected(peer) => Some(Arc::clone(peer)),
            _ => None,
        });
        client.wait_for(|client| {
            let pulled = client.replica_mut().pull()?;
            contains(&pulled.update, b"\xa1x\x01").then_some(())
        });
        let event = |name| Arc::from(msgpack::event(name, b"\x90", b"\x80"));
        client.connection.lock().unwrap().dispatch(event("up"), Some(7)).unwrap();
        let arrived = server.wait_for(|event| match event {
            ServerEvent::Ready(peer) => {
                let mut events = Vec::new();
                peer.take_events(&mut events);
                events.into_iter().find_map(|event| match event {
                    ConnectionEvent::Event(bytes) => Some(bytes),
                    _ => None,
                })
            }
            _ => None,
        });
        assert!(contains(&arrived, b"up"), "{host}");
        peer.lock().dispatch(event("down"), None).unwrap();
        let (mut is_acknowledged, mut has_arrived) = (false, false);
        let mut notices = Vec::new();
        while !(is_acknowledged && has_arrived) {
            assert!(client.inbox.wait(Some(PATIENCE)), "{host}");
            client.inbox.drain(&mut notices);
            assert!(notices.drain(..).all(|notice| matches!(notice, Notice::Client(ClientNotice::Ready))));
            let mut client = client.connection.lock().unwrap();
            while let Some(event) = client.connection_mut().poll_event() {
                is_acknowledged |= event == ConnectionEvent::Acknowledged(7);
                has_arrived |= matches!(event, ConnectionEvent::Event(bytes) if contains(&bytes, b"down"));
            }
        }
        assert!(client.driver.disconnect(true, Duration::from_millis(1500)), "{host}");
        server.wait_for(|event| matches!(event, ServerEvent::ShutdownRequested).then_some(()));
    }
}

#[test]
fn ipv4_peers_of_a_server_for_all_addresses_have_ipv4_addresses() {
    let Ok(server) = Server::start("::", 0) else { return };
    let client = Client::start("127.0.0.1", server.port());
    client.wait_connected();
    let peer = server.wait_for(|event| match event {
        ServerEvent::Connected(peer) => Some(Arc::clone(peer)),
        _ => None,
    });
    assert_eq!(peer.address().ip(), IpAddr::from([127, 0, 0, 1]));
}

#[test]
fn a_port_has_one_server() {
    let server = Server::start("127.0.0.1", 0).unwrap();
    for host in ["127.0.0.1", "localhost", "0.0.0.0"] {
        let error = Server::start(host, server.port()).err().unwrap();
        assert!(matches!(error, NetError::AddressInUse { .. }), "{error}");
    }
    // Neither does the failure disturb the one that is there.
    Client::start("127.0.0.1", server.port()).wait_connected();
}

#[test]
fn two_hundred_starts_and_stops_with_a_client_connected() {
    let server = Server::start("127.0.0.1", 0).unwrap();
    let port = server.port();
    drop(server);
    for round in 0..200 {
        let server = Server::start("127.0.0.1", port).unwrap();
        let client = Client::start("127.0.0.1", port);
        client.wait_connected();
        if round % 2 == 0 {
            server.driver.stop();
            client.driver.stop();
        }
        // The others are dropped, in the other order.
    }
}

#[test]
fn a_client_finds_a_server_that_was_restarted() {
    let first = Server::start("127.0.0.1", 0).unwrap();
    let port = first.port();
    let client = Client::start("127.0.0.1", port);
    client.wait_connected();
    first.driver.stop();
    let second = Server::start("127.0.0.1", port).unwrap();
    second.wait_for(|event| matches!(event, ServerEvent::Connected(_)).then_some(()));
    client.wait_connected();
}

#[test]
fn servers_and_clients_may_be_asked_and_ended_in_a_task_of_a_runtime() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let server = Server::start("127.0.0.1", 0).unwrap();
        let client = Client::start("127.0.0.1", server.port());
        client.wait_connected();
        assert_eq!(server.driver.stats().gauges.connections, 1);
        let host = "192.0.2.1".parse().unwrap();
        assert_eq!(server.driver.ban(host, None, None, String::new()), Some(true));
        assert_eq!(server.driver.unban(host, None), Some(true));
        assert!(client.driver.disconnect(false, PATIENCE));
        server.driver.stop();
    });
}

#[test]
fn a_hundred_clients_go_on_and_none_sends_too_often() {
    let server = Server::start("127.0.0.1", 0).unwrap();
    let clients: Vec<_> = (0..100).map(|_| Client::start("127.0.0.1", server.port())).collect();
    for client in &clients {
        client.wait_connected();
    }
    let (begin, start) = (clock::now(), server.driver.stats().socket);
    // However slow the machine is: all go on, and nobody sends more than the interval allows.
    let before: Vec<_> =
        clients.iter().map(|client| client.wait_for(|client| Some(client.connection().stats))).collect();
    for (client, before) in clients.iter().zip(before) {
        client.wait_for(|client| {
            let now = client.connection().stats;
            (now.sent > before.sent + 10 && now.received > before.received + 10).then_some(())
        });
    }
    let end = server.driver.stats();
    let most = 4500.0 * clock::now().abs_diff(begin).as_secs_f64() + 300.0;
    let received = end.socket.datagrams_received - start.datagrams_received;
    let sent = end.socket.datagrams_sent - start.datagrams_sent;
    assert!(received.max(sent) as f64 <= most, "{received} {sent}, not {most}");
    assert_eq!(end.gauges.connections, 100);
    for client in &clients {
        assert_eq!(client.status(), Status::Connected);
    }
}
