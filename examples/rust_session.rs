//! A server and a client in one process, without Python: a ball moves, the client kicks it, both hear of it.
//!
//! Run it with `cargo run --no-default-features --example rust_session`.

use std::{
    error::Error,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use pygase::{
    ClientConnection,
    connection::ConnectionEvent,
    endpoint::{Peer, ServerConfig, ServerEvent},
    net::{ClientNotice, Inbox, Notice, UdpClient, UdpServer, clock},
    state::Store,
    wire::{Sqn, msgpack},
};
use serde::{Deserialize, Serialize};

/// What the server shares, as a map of attributes.
#[derive(Serialize, Deserialize)]
struct World {
    ball: Ball,
    game_status: u8,
}

/// One value of the game state each: position and velocity on a line.
#[derive(Serialize, Deserialize)]
struct Ball {
    x: f32,
    v: f32,
}

const TICK: Duration = Duration::from_millis(20);
const TICKS: u32 = 100;

fn main() -> Result<(), Box<dyn Error>> {
    // The server: a state, a queue for what happens, a thread of its own behind `UdpServer`.
    let mut ball = Ball { x: 0.0, v: 1.0 };
    let initial = rmp_serde::to_vec_named(&World { ball: Ball { ..ball }, game_status: 1 })?;
    let store = Arc::new(Mutex::new(Store::new(Sqn::ZERO, &initial)?));
    let at_server = Arc::new(Inbox::new());
    let server = UdpServer::start(
        "localhost",
        0,
        ServerConfig::default(),
        Arc::clone(&store),
        Arc::clone(&at_server),
        Vec::new(),
    )?;
    println!("server listens on {}", server.local_addr());

    // The client: its connection is shared with the background thread that drives it.
    let connection = Arc::new(Mutex::new(ClientConnection::default()));
    let at_client = Arc::new(Inbox::new());
    let port = server.local_addr().port();
    let client = UdpClient::start("localhost", port, Arc::clone(&connection), Arc::clone(&at_client))?;
    let (mut kicks, mut cheers, mut acknowledged) = (0, 0, 0);

    for tick in 1..=TICKS {
        thread::sleep(TICK);

        // A step of the game: handle events, move the ball, push what changed.
        for (peer, event) in events_at(&at_server) {
            if msgpack::event_parts(&event)?.event_type == "KICK" {
                kicks += 1;
                ball.v = -ball.v;
                let cheer = event_bytes("CHEER", &("what a kick", kicks))?;
                peer.lock().dispatch(cheer, None)?;
            }
        }
        ball.x += ball.v * TICK.as_secs_f32();
        let update = rmp_serde::to_vec_named(&World { ball: Ball { ..ball }, game_status: 1 })?;
        {
            let mut store = store.lock().map_err(|_| "the store's lock is poisoned")?;
            let next = store.time_order().next();
            store.push(clock::now(), next, &update)?;
        }

        // A frame of the client: kick now and then, look at what came.
        let mut connection = connection.lock().map_err(|_| "the client's lock is poisoned")?;
        if tick % 30 == 0 {
            connection.dispatch(event_bytes("KICK", &())?, Some(u64::from(tick)))?;
        }
        while let Some(event) = connection.connection_mut().poll_event() {
            match event {
                ConnectionEvent::Event(_) => cheers += 1,
                ConnectionEvent::Acknowledged(_) => acknowledged += 1,
                ConnectionEvent::Status(status) => println!("client is {status:?}"),
                ConnectionEvent::TimedOut(_) | ConnectionEvent::Quality(_) | ConnectionEvent::Farewell(_) => {
                }
            }
        }
        if let Some(pulled) = connection.replica_mut().pull()
            && tick % 10 == 0
        {
            let seen: World = rmp_serde::from_slice(&pulled.update)?;
            let rtt = connection.connection().latency * 1e3;
            println!("tick {tick:3}: the client sees x = {:.2}, round trip {rtt:.2} ms", seen.ball.x);
        }
    }

    client.disconnect(true, Duration::from_secs(2));
    let closed = drain(&at_client).any(|notice| matches!(notice, Notice::Client(ClientNotice::Closed)));
    let mut asked = false;
    while !asked && at_server.wait(Some(Duration::from_secs(2))) {
        asked = drain(&at_server).any(|n| matches!(n, Notice::Server(ServerEvent::ShutdownRequested)));
    }
    server.stop();
    println!(
        "{kicks} kicks, {acknowledged} acknowledged, {cheers} cheers; closed: {closed}, shutdown asked: {asked}"
    );
    if kicks == 0 || cheers == 0 || acknowledged == 0 || !closed || !asked {
        return Err("the session did not play as it should".into());
    }
    Ok(())
}

/// A msgpacked event with these arguments.
fn event_bytes(name: &str, args: &impl Serialize) -> Result<Arc<[u8]>, Box<dyn Error>> {
    let args = match rmp_serde::to_vec(args)? {
        nil if nil == [0xc0] => vec![0x90],
        args => args,
    };
    Ok(msgpack::event(name, &args, &[0x80]).into())
}

fn drain(inbox: &Inbox) -> impl Iterator<Item = Notice> + use<> {
    let mut notices = Vec::new();
    inbox.drain(&mut notices);
    notices.into_iter()
}

/// The events that came to the server since the last call.
fn events_at(inbox: &Inbox) -> Vec<(Arc<Peer>, Box<[u8]>)> {
    let mut events = Vec::new();
    for notice in drain(inbox) {
        let Notice::Server(ServerEvent::Ready(peer)) = notice else { continue };
        let mut happened = Vec::new();
        peer.take_events(&mut happened);
        events.extend(happened.into_iter().filter_map(|event| match event {
            ConnectionEvent::Event(bytes) => Some((Arc::clone(&peer), bytes)),
            _ => None,
        }));
    }
    events
}
