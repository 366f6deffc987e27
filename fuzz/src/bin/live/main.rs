//! A live soak: `live SECONDS [CLIENTS]`. A server, clients of ours behind a relay that loses, doubles, delays and
//! reorders, and malformed datagrams from strangers and in everybody's name, all over loopback. In the end everybody
//! has the server's state, every event has arrived once and its sender knows, and memory, threads and open files are
//! what they were.

mod relay;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use pygase::ClientConnection;
use pygase::connection::{ConnectionEvent, Status};
use pygase::endpoint::{Counters, Peer, ServerConfig, ServerEvent};
use pygase::net::{Inbox, Notice, ServerStats, UdpClient, UdpServer, clock};
use pygase::state::Store;
use pygase::wire::{Sqn, msgpack};
use relay::{Relay, throw_garbage};

/// Enough that an event does not get lost in ten minutes: a thousand of a thousand million do, at ten percent.
const RETRIES: u32 = 11;
/// How often each event of one direction came and what its sender was told, a byte for each.
struct Ledger {
    came: Vec<u8>,
    told: Vec<u8>,
    repeated: u64,
}

impl Ledger {
    fn new(capacity: usize) -> Self {
        Self { came: Vec::with_capacity(capacity), told: Vec::with_capacity(capacity), repeated: 0 }
    }

    fn next(&mut self) -> (Arc<[u8]>, u64) {
        let id = self.came.len() as u64;
        self.came.push(0);
        self.told.push(0);
        let mut args = vec![0x91];
        msgpack::write_uint(&mut args, id);
        (msgpack::event("N", &args, &[0x80]).into(), id)
    }

    fn came(&mut self, bytes: &[u8]) {
        let parts = msgpack::event_parts(bytes).expect("a checked event");
        let mut args = msgpack::Reader::new(parts.args);
        if let (Ok(_), Ok(msgpack::Token::Uint(id))) = (args.next(), args.next()) {
            self.came[id as usize] += 1;
            self.repeated += u64::from(self.came[id as usize] > 1);
        }
    }

    /// Takes note of what happened to one side, which has `other` from the other one.
    fn note(&mut self, other: &mut Self, happened: &ConnectionEvent) {
        match happened {
            ConnectionEvent::Event(bytes) => other.came(bytes),
            ConnectionEvent::Acknowledged(id) => self.told[*id as usize] += 1,
            ConnectionEvent::TimedOut(id) => self.told[*id as usize] += 16,
            ConnectionEvent::Status(_) | ConnectionEvent::Quality(_) | ConnectionEvent::Farewell(_) => {}
        }
    }
}

/// What this process has of the system.
#[derive(Clone, Copy, Debug)]
struct Footprint {
    /// Resident memory in KiB.
    memory: u64,
    threads: usize,
    files: usize,
}

impl Footprint {
    fn now() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let memory = line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0);
        let count = |folder| std::fs::read_dir(folder).map_or(0, Iterator::count);
        Self { memory, threads: count("/proc/self/task"), files: count("/proc/self/fd") }
    }

    /// Whether nothing has been added to what was `before`, beyond what allocators keep for themselves.
    fn is_like(self, before: Self) -> bool {
        self.memory < before.memory + before.memory / 10 + 2048
            && (self.threads, self.files) == (before.threads, before.files)
    }
}

struct Player {
    driver: UdpClient,
    connection: Arc<Mutex<ClientConnection>>,
    peer: Option<Arc<Peer>>,
    /// Of the connection, as the server knows it.
    up: Ledger,
    down: Ledger,
}

fn main() {
    let mut arguments = std::env::args().skip(1).filter_map(|text| text.parse::<u64>().ok());
    let seconds = arguments.next().unwrap_or(600);
    let clients = arguments.next().unwrap_or(200) as usize;
    let store = Arc::new(Mutex::new(Store::new(Sqn::new(1), &state(0, 0)).expect("a state")));
    let inbox = Arc::new(Inbox::new());
    let config = ServerConfig::default();
    let server = UdpServer::start("127.0.0.1", 0, config, Arc::clone(&store), Arc::clone(&inbox), Vec::new());
    let server = server.expect("a server");
    let is_over = Arc::new(AtomicBool::new(false));
    let relay = Relay::start(server.local_addr(), Arc::clone(&is_over));
    let garbage = throw_garbage([server.local_addr(), relay.front], Arc::clone(&is_over));
    let capacity = 2 * seconds as usize + 64;
    let mut players: Vec<Player> = (0..clients)
        .map(|_| {
            let connection = Arc::new(Mutex::new(ClientConnection::default()));
            let port = relay.front.port();
            let driver = UdpClient::start("127.0.0.1", port, Arc::clone(&connection), Arc::default());
            let (up, down) = (Ledger::new(capacity), Ledger::new(capacity));
            Player { driver: driver.expect("a client"), connection, peer: None, up, down }
        })
        .collect();
    let start = clock::now();
    let (mut peers, mut known, mut waiting, mut lost) = (HashMap::new(), HashMap::new(), Vec::new(), 0_u64);
    let (mut ticks, mut next_report) = (0_u64, 60);
    let mut early = None;
    let now = || clock::now().abs_diff(start).as_secs();
    println!("seconds  RSS KiB  connections  sent by the server  lost  malformed  garbage");
    // Then all that is under way arrives: as many seconds as there are retries, at the most.
    while now() < seconds + u64::from(RETRIES) + 3 {
        thread::sleep(Duration::from_millis(50));
        ticks += 1;
        let is_playing = now() < seconds;
        collect(&inbox, &mut peers);
        introduce(&mut peers, &mut known);
        if is_playing {
            let mut store = store.lock().expect("a store");
            let next = store.time_order().next();
            store.push(clock::now(), next, &state(ticks, ticks % 97)).expect("an update");
        }
        for (index, player) in players.iter_mut().enumerate() {
            lost += play(player, index as u64, is_playing, ticks, &known, &mut waiting);
        }
        if now() >= next_report {
            let (stats, footprint) = (server.stats(), Footprint::now());
            // By then every table has the size it keeps.
            if now() <= 120 {
                early = Some(footprint);
            }
            let memory = footprint.memory;
            let sent = stats.socket.datagrams_sent;
            let thrown = garbage.load(Ordering::Relaxed);
            let malformed = stats.endpoint.malformed;
            println!(
                "{:7} {memory:8} {:12} {sent:19} {lost:5} {malformed:10} {thrown:8}",
                now(),
                stats.gauges.connections
            );
            next_report += 60;
        }
    }
    let truth = store.lock().expect("a store").tree().to_msgpack();
    let in_sync = players.iter().filter(|player| {
        let mut client = player.connection.lock().expect("a connection");
        client.replica_mut().pull_snapshot().is_some_and(|pulled| sorted(&pulled.update) == sorted(&truth))
    });
    let (in_sync, stats) = (in_sync.count(), server.stats());
    // While everybody who was there before is still there.
    let end = Footprint::now();
    is_over.store(true, Ordering::Relaxed);
    let [dispatched, once, repeated, true_acks, timed_out] = events(&players);
    let troubles = troubles(&players, &stats);
    println!("state of {} bytes: {in_sync} of {clients} clients have it", truth.len());
    println!(
        "{dispatched} events: {once} came once, {repeated} again; {true_acks} acknowledged, {timed_out} timed out"
    );
    println!("times a client was disconnected: {lost}; {early:?} early, {end:?} at the end");
    println!("server: {:?}", stats.endpoint);
    let (fates, junk) = relay.thread.join().expect("a relay");
    let dropped = |player: &Player| {
        let stats = player.driver.stats();
        stats.oversize + player.connection.lock().expect("a connection").connection().stats.malformed
    };
    let dropped = [stats.socket.oversize + stats.endpoint.malformed, players.iter().map(dropped).sum()];
    println!(
        "relay: {fates:?}; {junk} malformed each way, dropped by the server and by clients: {dropped:?}"
    );
    println!("what must not be counted: {troubles:?}");
    let all_well = in_sync == clients
        && (once, repeated, true_acks + timed_out) == (dispatched, 0, dispatched)
        && stats.gauges.connections >= clients
        && troubles.iter().all(|(_, count)| *count == 0)
        // The system may drop some where nobody has read for a moment.
        && dropped.iter().all(|dropped| *dropped > junk * 9 / 10)
        && early.is_none_or(|early| end.is_like(early));
    println!("{}", if all_well { "nothing was lost that was promised" } else { "FAILED" });
    for player in &players {
        player.driver.stop();
    }
    std::process::exit(i32::from(!all_well));
}

/// How many events were dispatched, came once, and came again; how many senders were told that they came, and that
/// they did not.
fn events(players: &[Player]) -> [usize; 5] {
    let ledgers = || players.iter().flat_map(|player| [&player.up, &player.down]);
    let of = |all: fn(&Ledger) -> &[u8], value: u8| -> usize {
        ledgers().flat_map(all).filter(|byte| **byte == value).count()
    };
    [
        ledgers().map(|ledger| ledger.came.len()).sum(),
        of(|ledger| &ledger.came, 1),
        ledgers().map(|ledger| ledger.repeated as usize).sum(),
        of(|ledger| &ledger.told, 1),
        of(|ledger| &ledger.told, 16),
    ]
}

/// Counters that stay 0 however bad the line is.
fn troubles(players: &[Player], stats: &ServerStats) -> Vec<(&'static str, u64)> {
    let of = |player: &Player| {
        let up = player.connection.lock().expect("a connection").connection().stats;
        let down = player.peer.as_ref().map(|peer| peer.lock().connection().stats).unwrap_or_default();
        (up.queue_full + down.queue_full, up.over_rate + down.over_rate)
    };
    let (full, over) = players.iter().map(of).fold((0, 0), |sum, (full, over)| (sum.0 + full, sum.1 + over));
    let panics = players.iter().map(|player| player.driver.stats().panics).sum::<u64>();
    let Counters { over_source, wrong_tokens, .. } = stats.endpoint;
    vec![
        ("queue_full", full),
        ("over_rate", over),
        ("panics", panics + stats.socket.panics),
        ("over_source", over_source),
        ("wrong_tokens", wrong_tokens),
    ]
}

/// Takes in who came to the server.
fn collect(inbox: &Inbox, peers: &mut HashMap<u64, Arc<Peer>>) {
    let mut notices = Vec::new();
    inbox.drain(&mut notices);
    for notice in notices {
        if let Notice::Server(ServerEvent::Connected(peer)) = notice {
            peers.insert(peer.tag, peer);
        }
    }
}

/// A turn of a player; whether the connection was lost.
fn play(
    player: &mut Player,
    index: u64,
    is_playing: bool,
    ticks: u64,
    known: &HashMap<u64, Arc<Peer>>,
    happened: &mut Vec<ConnectionEvent>,
) -> u64 {
    let mut lost = 0;
    let mut client = player.connection.lock().expect("a connection");
    if is_playing && ticks % 20 == index % 20 && player.peer.is_some() {
        let (event, id) = player.up.next();
        client.dispatch_retried(event, Some(id), RETRIES).expect("a small event");
    }
    if player.peer.is_none() && client.connection().status() == Status::Connected {
        // Who is who is learned from the first event: it carries the index in its type.
        if ticks.is_multiple_of(20) {
            let event = msgpack::event(&format!("I{index}"), &[0x90], &[0x80]);
            client.dispatch(event.into(), None).expect("a small event");
        }
    }
    client.replica_mut().pull();
    while let Some(event) = client.connection_mut().poll_event() {
        lost += u64::from(event == ConnectionEvent::Status(Status::Disconnected));
        player.up.note(&mut player.down, &event);
    }
    drop(client);
    match &player.peer {
        None => player.peer = known.get(&index).cloned(),
        Some(peer) => {
            if is_playing && ticks % 40 == index % 40 {
                let (event, id) = player.down.next();
                peer.lock().dispatch_retried(event, Some(id), RETRIES).expect("a small event");
            }
            peer.take_events(happened);
            happened.drain(..).for_each(|event| player.down.note(&mut player.up, &event));
        }
    }
    lost
}

/// Takes the connections that have said whose they are out of `strangers`.
fn introduce(strangers: &mut HashMap<u64, Arc<Peer>>, known: &mut HashMap<u64, Arc<Peer>>) {
    strangers.retain(|_, peer| {
        let event = peer.lock().connection_mut().poll_incoming();
        let index = event
            .and_then(|bytes| msgpack::event_parts(&bytes).ok()?.event_type.strip_prefix('I')?.parse().ok());
        index.is_none_or(|index: u64| known.insert(index, Arc::clone(peer)).is_some())
    });
}

/// A state with a clock and some that changes.
fn state(ticks: u64, unit: u64) -> Vec<u8> {
    let mut out = Vec::new();
    msgpack::write_map_len(&mut out, 2);
    msgpack::write_str(&mut out, "ticks");
    msgpack::write_uint(&mut out, ticks);
    msgpack::write_str(&mut out, "units");
    msgpack::write_map_len(&mut out, 1);
    msgpack::write_uint(&mut out, unit);
    msgpack::write_str(&mut out, &"x".repeat(1 + (ticks % 31) as usize));
    out
}

/// What a map of maps says, in one order.
fn sorted(bytes: &[u8]) -> Vec<String> {
    let value = rmpv::decode::read_value(&mut &bytes[..]).expect("msgpack");
    let groups = value.as_map().expect("a map").iter().flat_map(|(group, value)| {
        let alone = [(rmpv::Value::Nil, value.clone())];
        let units = value.as_map().map_or(alone.to_vec(), Clone::clone);
        units.into_iter().map(move |(unit, text)| format!("{group} {unit} {text}"))
    });
    let mut all: Vec<_> = groups.collect();
    all.sort();
    all
}
