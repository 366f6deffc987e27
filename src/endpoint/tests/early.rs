//! Fresh events that go out early: when, to whom, and what it does to the rate of packages.

use super::*;
use crate::{connection::Config, wire::limits::EVENTS_PER_PACKAGE};

const INTERVAL: Duration = Duration::from_millis(25);

/// A server and a client of ours that know each other, both with these settings, and what the client sent when.
struct Game {
    world: World,
    peer: Arc<Peer>,
    at: SocketAddr,
}

fn settings(prompt_events: Option<bool>) -> Config {
    Config { prompt_events, ..Config::default() }
}

impl Game {
    fn new(config: Config) -> Self {
        Self::on(Conditions::default(), config)
    }

    fn on(conditions: Conditions, config: Config) -> Self {
        let mut world = World::new(conditions, &serde_json::json!({"x": 1}));
        let all = ServerConfig { connection: config, ..ServerConfig::default() };
        world.server = ServerEndpoint::new(all, Arc::clone(&world.store), [7; 16]);
        let at = world.join();
        world.client(at).connection_mut().config = config.into();
        world.run(Duration::from_secs(1));
        let peer = Arc::clone(world.server.peers().next().unwrap());
        assert!(world.client(at).hello() && peer.lock().hello());
        let mut game = Self { world, peer, at };
        game.sent();
        game
    }

    /// Packages sent so far by the client and to it.
    fn sent(&mut self) -> (u64, u64) {
        let up = self.world.client(self.at).connection().stats.sent;
        (up, self.peer.lock().connection().stats.sent)
    }

    /// Runs until the client has just sent a package on its grid; so that the next is an interval away.
    fn settle(&mut self) {
        let (before, _) = self.sent();
        while self.sent().0 == before {
            self.world.run(MS);
        }
    }

    /// Runs until the server has just sent a package.
    fn settle_server(&mut self) {
        let (_, before) = self.sent();
        while self.sent().1 == before {
            self.world.run(MS);
        }
    }

    fn dispatch_up(&mut self) {
        self.world.client(self.at).dispatch(event("UP"), None).unwrap();
    }

    fn dispatch_down(&mut self) {
        self.peer.lock().dispatch(event("DOWN"), None).unwrap();
    }

    /// How long it takes until what waits at the client has been sent.
    fn wait_up(&mut self) -> Duration {
        let before = self.world.now;
        while self.world.client(self.at).connection().gauges().events_to_send > 0 {
            self.world.run(MS);
        }
        self.world.now.abs_diff(before)
    }

    fn wait_down(&mut self) -> Duration {
        let before = self.world.now;
        while self.peer.lock().connection().gauges().events_to_send > 0 {
            self.world.run(MS);
        }
        self.world.now.abs_diff(before)
    }
}

#[test]
fn a_fresh_event_goes_at_once_between_peers_of_ours() {
    let mut game = Game::new(settings(None));
    for late in [0, 1, 5, 12, 20, 24] {
        game.settle();
        game.world.run(MS * late);
        game.dispatch_up();
        assert_eq!(game.world.client(game.at).poll_timeout(), Some(Duration::ZERO), "its driver is to look");
        assert!(game.wait_up() <= MS, "{late}");
        game.world.run(Duration::from_millis(300));
        game.settle_server();
        game.world.run(MS * late);
        game.dispatch_down();
        assert_eq!(game.world.server.poll_timeout(), Some(Duration::ZERO), "its driver is to look");
        assert!(game.wait_down() <= MS, "{late}");
        game.world.run(Duration::from_millis(300));
    }
    assert!(game.world.client(game.at).connection().stats.sent_early >= 5);
    assert!(game.peer.lock().connection().stats.sent_early >= 5);
}

/// What a server and a client do in a second in which both dispatch now and then: each datagram and its moment.
fn course(config: Config, dispatches: bool) -> Vec<(Duration, Vec<u8>)> {
    let mut game = Game::new(config);
    let mut client = game.world.clients.remove(&game.at).unwrap();
    let (mut course, mut out) = (Vec::new(), Vec::new());
    for step in 0..1000 {
        game.world.now += MS;
        let now = game.world.now;
        if dispatches && step % 37 == 5 {
            client.dispatch_retried(event("UP"), None, 1).unwrap();
            game.peer.lock().dispatch_retried(event("DOWN"), None, 1).unwrap();
        }
        client.handle_timeout(now);
        while client.poll_transmit(now, &mut out) {
            game.world.server.handle_datagram(now, game.at, &out);
            course.push((now, std::mem::take(&mut out)));
        }
        for (_, bytes) in sent(&mut game.world.server, now) {
            client.handle_datagram(now, &bytes);
            course.push((now, bytes));
        }
    }
    course
}

#[test]
fn without_it_every_package_goes_as_if_there_were_no_event() {
    let moments = |course: Vec<(Duration, Vec<u8>)>| course.into_iter().map(|(at, _)| at).collect::<Vec<_>>();
    let off = course(settings(Some(false)), true);
    assert!(off.len() >= 78, "{}", off.len());
    assert_eq!(moments(off), moments(course(settings(Some(false)), false)));
    // Where nothing is dispatched it makes no difference, to a byte.
    assert_eq!(course(settings(Some(true)), false), course(settings(Some(false)), false));
    assert_ne!(moments(course(settings(None), true)), moments(course(settings(None), false)));
}

#[test]
fn the_mean_rate_holds_with_an_event_every_tick_for_ten_minutes() {
    let mut game = Game::new(settings(Some(true)));
    let before = game.sent();
    let seconds = 600;
    let mut window = (game.world.now, before);
    for tick in 0..seconds * 50 {
        game.dispatch_up();
        game.dispatch_down();
        game.world.push(&serde_json::json!({"x": tick}));
        game.world.run(Duration::from_millis(20));
        if tick % 50 == 49 {
            let sent = game.sent();
            let intervals = (game.world.now.abs_diff(window.0).as_millis() / 25) as u64;
            assert!(sent.0 - window.1.0 <= intervals + 2, "{sent:?} after {window:?}");
            assert!(sent.1 - window.1.1 <= intervals + 2, "{sent:?} after {window:?}");
            window = (game.world.now, sent);
            // Nor does the state starve.
            let x = game.world.state_of(game.at)["x"].as_i64().unwrap();
            assert!(x + 3 >= tick, "{x} in tick {tick}");
            game.world.events_of(game.at);
            game.peer.take_events(&mut Vec::new());
        }
    }
    let after = game.sent();
    let grid = 40 * seconds as u64;
    for sent in [after.0 - before.0, after.1 - before.1] {
        assert!((grid - 1..=grid + 1).contains(&sent), "{sent} packages instead of {grid}");
    }
    game.world.run(INTERVAL * 2);
    assert_eq!(game.peer.lock().connection().stats.events_received, seconds as u64 * 50);
}

#[test]
fn events_now_and_then_wait_less_than_without() {
    let mean = |prompt_events| {
        let mut game = Game::new(settings(Some(prompt_events)));
        let mut waited = Duration::ZERO;
        for number in 0..200 {
            game.world.run(MS * (60 + number * 7 % 25));
            game.dispatch_up();
            waited += game.wait_up();
        }
        waited / 200
    };
    assert!(mean(true) <= MS * 2, "{:?}", mean(true));
    assert!(mean(false) > MS * 10, "{:?}", mean(false));
}

#[test]
fn a_slower_line_keeps_its_longer_interval() {
    let line = Conditions { latency: Duration::from_millis(200), ..Conditions::default() };
    let mut game = Game::on(line, settings(Some(true)));
    game.world.run(Duration::from_secs(3));
    let now = game.world.now;
    assert_eq!(game.world.client(game.at).connection().interval(now), INTERVAL * 2);
    let before = game.sent();
    for _ in 0..500 {
        game.dispatch_up();
        game.dispatch_down();
        game.world.run(Duration::from_millis(20));
        game.world.events_of(game.at);
        game.peer.take_events(&mut Vec::new());
    }
    let after = game.sent();
    for sent in [after.0 - before.0, after.1 - before.1] {
        assert!((198..=202).contains(&sent), "{sent} packages in ten seconds at 20 a second");
    }
}

#[test]
fn many_events_go_in_few_packages_and_none_goes_ahead_by_more_than_one() {
    let mut game = Game::new(settings(None));
    game.settle();
    for _ in 0..300 {
        game.dispatch_up();
    }
    let before = game.sent().0;
    game.world.run(MS);
    assert_eq!(game.sent().0 - before, 1);
    let waiting = game.world.client(game.at).connection().gauges().events_to_send;
    assert!((100..290).contains(&waiting), "{waiting}: more than five in a package between two of ours");
    game.world.run(MS * 23);
    assert_eq!(game.sent().0 - before, 1, "the next is an interval away");
    game.world.run(MS * 2);
    assert_eq!(game.sent().0 - before, 2);
}

/// When an original server is sent packages in half a second with an event after 10 ms, and how many events each has.
fn to_an_original(prompt_events: Option<bool>, events: u32) -> Vec<(u64, usize)> {
    let mut client = ClientConnection::new(settings(prompt_events));
    client.connect(Duration::ZERO);
    let (mut out, mut packages, mut sequence) = (Vec::new(), Vec::new(), Sqn::ZERO);
    for ms in 0..500 {
        let now = MS * ms;
        if ms == 110 {
            (0..events).for_each(|_| client.dispatch(event("UP"), None).unwrap());
        }
        client.handle_timeout(now);
        while client.poll_transmit(now, &mut out) {
            let package = Package::decode(Kind::Client, &out).unwrap();
            packages.push((u64::from(ms), package.events().count()));
            sequence = sequence.next();
            let ack = package.header.sequence;
            let header = Header { sequence, ack, ack_bitfield: 0 };
            let update = super::super::empty_update(Sqn::ZERO);
            let mut answer = Vec::new();
            PackageWriter::new(&mut answer, header, Body::Server { update: &update }).unwrap();
            client.handle_datagram(now, &answer);
            out.clear();
        }
    }
    assert!(!client.hello());
    packages
}

#[test]
fn an_original_server_is_sent_nothing_early_unless_asked_for() {
    let (off, asked) = (to_an_original(None, 7), to_an_original(Some(true), 7));
    assert_eq!(off, to_an_original(Some(false), 7));
    let grid = |packages: &[(u64, usize)]| packages.iter().map(|(at, _)| *at).collect::<Vec<_>>();
    assert_eq!(grid(&off), grid(&to_an_original(None, 0)));
    assert_eq!(asked.iter().find(|(_, events)| *events > 0), Some(&(110, EVENTS_PER_PACKAGE)));
    assert!(asked.iter().chain(&off).all(|(_, events)| *events <= EVENTS_PER_PACKAGE));
    assert!(asked.len().abs_diff(off.len()) <= 1, "{} and {}", asked.len(), off.len());
}

/// When a client that does not say hello is sent packages, and how many events each has.
fn to_an_original_client(prompt_events: Option<bool>, events: u32) -> Vec<(u64, usize)> {
    let store = store(1, &serde_json::json!({"x": 1}));
    let config = ServerConfig { connection: settings(prompt_events), ..ServerConfig::default() };
    let mut server = ServerEndpoint::new(config, store, [7; 16]);
    let mut client = Raw::new(9);
    let (mut packages, mut ack) = (Vec::new(), Sqn::ZERO);
    for ms in 0..600 {
        let now = Duration::from_secs(1) + MS * ms;
        if ms % 25 == 0 {
            let bytes = client.package(ack, &[]);
            server.handle_datagram(now, client.at, &bytes);
        }
        if ms == 310 {
            let peer = Arc::clone(server.peers().next().unwrap());
            assert!(!peer.lock().hello());
            (0..events).for_each(|_| peer.lock().dispatch(event("DOWN"), None).unwrap());
        }
        for (_, bytes) in sent(&mut server, now) {
            let package = Package::decode(Kind::Server, &bytes).unwrap();
            ack = package.header.sequence;
            packages.push((u64::from(ms), package.events().count()));
        }
    }
    packages
}

#[test]
fn an_original_client_is_sent_nothing_early_unless_asked_for() {
    let (off, asked) = (to_an_original_client(None, 7), to_an_original_client(Some(true), 7));
    assert_eq!(off, to_an_original_client(Some(false), 7));
    let grid = |packages: &[(u64, usize)]| packages.iter().map(|(at, _)| *at).collect::<Vec<_>>();
    assert_eq!(grid(&off), grid(&to_an_original_client(None, 0)));
    assert_eq!(asked.iter().find(|(_, events)| *events > 0), Some(&(310, EVENTS_PER_PACKAGE)));
    assert!(asked.iter().chain(&off).all(|(_, events)| *events <= EVENTS_PER_PACKAGE));
    assert!(asked.len().abs_diff(off.len()) <= 1, "{} and {}", asked.len(), off.len());
}

#[test]
fn an_event_that_is_sent_again_is_not_fresh() {
    let mut game = Game::new(settings(None));
    game.world.cut = (true, true);
    let client = game.world.client(game.at);
    client.dispatch_retried(event("UP"), None, 3).unwrap();
    game.world.run(MS);
    let early = game.world.client(game.at).connection().stats.sent_early;
    // It is lost after a second, and waits for its turn then.
    game.world.run(Duration::from_millis(2500));
    assert_eq!(game.world.client(game.at).connection().stats.sent_early, early);
    assert!(game.world.client(game.at).connection().stats.events_sent >= 3);
}

#[test]
fn what_all_are_told_goes_out_in_a_few_milliseconds_and_leaves_the_grids_where_they_were() {
    let mut world = World::new(Conditions::default(), &serde_json::json!({"x": 1}));
    for _ in 0..300 {
        world.join();
    }
    world.run(Duration::from_secs(1));
    let turns = |world: &mut World| {
        let mut most = 0;
        for _ in 0..25 {
            let sent =
                |world: &World| world.server.peers().map(|peer| peer.lock().connection().stats.sent).sum();
            let before: u64 = sent(world);
            world.run(MS);
            most = most.max(sent(world) - before);
        }
        most
    };
    assert!(turns(&mut world) <= 24, "{}", turns(&mut world));
    for peer in world.server.peers() {
        peer.lock().dispatch(event("DOWN"), None).unwrap();
    }
    let waiting = |world: &World| {
        world.server.peers().filter(|peer| peer.lock().connection().gauges().events_to_send > 0).count()
    };
    world.run(MS);
    assert!((100..250).contains(&waiting(&world)), "{}: not all in the same millisecond", waiting(&world));
    world.run(MS * 3);
    assert_eq!(waiting(&world), 0);
    world.run(Duration::from_millis(200));
    assert!(turns(&mut world) <= 24, "{}", turns(&mut world));
}

#[test]
fn what_is_dispatched_in_a_step_of_the_game_goes_with_what_the_step_changes() {
    let mut game = Game::new(settings(None));
    game.settle_server();
    game.world.store.lock().unwrap().begin_step();
    game.dispatch_down();
    game.world.run(MS * 5);
    assert_eq!(game.peer.lock().connection().gauges().events_to_send, 1);
    assert_ne!(game.world.server.poll_timeout(), Some(Duration::ZERO), "its driver sleeps meanwhile");
    game.world.push(&serde_json::json!({"x": 7}));
    game.world.store.lock().unwrap().end_step();
    assert_eq!(game.world.server.poll_timeout(), Some(Duration::ZERO));
    game.world.run(MS * 2);
    assert!(game.world.events_of(game.at).iter().any(|event| matches!(event, ConnectionEvent::Event(_))));
    assert_eq!(game.world.state_of(game.at)["x"], 7);
    // A step that does not end holds up nothing for longer than without.
    game.world.store.lock().unwrap().begin_step();
    game.dispatch_down();
    assert!(game.wait_down() <= INTERVAL * 5 / 4);
}
