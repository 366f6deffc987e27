//! Events on bad lines: what arrives how often, in which order, and what their senders are told.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// What one side dispatched, what the other side got, and what the senders were told.
#[derive(Debug, Default)]
struct Ledger {
    /// By number of the event: how often it is sent again.
    dispatched: BTreeMap<u64, u32>,
    got: Vec<u64>,
    acknowledged: BTreeMap<u64, u32>,
    timed_out: BTreeMap<u64, u32>,
}

fn numbered(number: u64) -> Arc<[u8]> {
    let mut args = vec![0x91];
    msgpack::write_uint(&mut args, number);
    msgpack::event("N", &args, &[0x80]).into()
}

fn number_in(event: &[u8]) -> u64 {
    msgpack::first_uint(&msgpack::event_parts(event).unwrap().args[1..]).unwrap()
}

impl Ledger {
    /// Takes note of what happened at the sender (`told`) and at the receiver (`came`).
    fn note(&mut self, told: &[ConnectionEvent], came: &[ConnectionEvent]) {
        for event in told {
            match event {
                ConnectionEvent::Acknowledged(id) => *self.acknowledged.entry(*id).or_default() += 1,
                ConnectionEvent::TimedOut(id) => *self.timed_out.entry(*id).or_default() += 1,
                _ => {}
            }
        }
        self.got.extend(came.iter().filter_map(|event| match event {
            ConnectionEvent::Event(bytes) => Some(number_in(bytes)),
            _ => None,
        }));
    }

    /// Exactly one outcome for each event, a true one, and no event twice.
    fn check(&self, all_retried_arrive: bool) {
        for (number, retries) in &self.dispatched {
            let outcomes = |told: &BTreeMap<u64, u32>| told.get(number).copied().unwrap_or(0);
            let (acknowledged, timed_out) = (outcomes(&self.acknowledged), outcomes(&self.timed_out));
            assert_eq!(acknowledged + timed_out, 1, "{number}: {acknowledged} and {timed_out}");
            let times = self.got.iter().filter(|got| *got == number).count();
            assert!(times <= 1, "{number} came {times} times");
            assert!(acknowledged == 0 || times == 1, "{number} was acknowledged and never came");
            assert!(!all_retried_arrive || *retries == 0 || acknowledged == 1, "{number} got lost for good");
        }
        assert!(self.got.iter().all(|number| self.dispatched.contains_key(number)));
    }
}

/// A server and one client that dispatch at each other.
struct Talk {
    world: World,
    at_server: Vec<ConnectionEvent>,
    up: Ledger,
    down: Ledger,
    next: u64,
}

impl Talk {
    fn new(seed: u64, conditions: Conditions, config: Config) -> Self {
        let mut world = World::new(conditions, &serde_json::json!({"x": 1}));
        world.network = Network::new(seed, conditions);
        let config = ServerConfig { connection: config, ..ServerConfig::default() };
        world.server = ServerEndpoint::new(config, Arc::clone(&world.store), [7; 16]);
        let at = world.join();
        world.client(at).connection_mut().config = config.connection.into();
        Self { world, at_server: Vec::new(), up: Ledger::default(), down: Ledger::default(), next: 0 }
    }

    /// The clients that the server has known, one after the other.
    fn peers(&self) -> impl DoubleEndedIterator<Item = &Arc<Peer>> {
        self.world.server_events.iter().filter_map(|event| match event {
            ServerEvent::Connected(peer) => Some(peer),
            _ => None,
        })
    }

    fn peer(&self) -> Option<Arc<Peer>> {
        self.peers().next_back().map(Arc::clone)
    }

    /// Dispatches one event each way.
    fn dispatch(&mut self, retries: u32) {
        self.next += 1;
        let number = self.next;
        let client = self.world.only_client();
        client.dispatch_retried(numbered(number), Some(number), retries).unwrap();
        self.up.dispatched.insert(number, retries);
        if let Some(peer) = self.peer() {
            peer.lock().dispatch_retried(numbered(number), Some(number), retries).unwrap();
            self.down.dispatched.insert(number, retries);
        }
    }

    fn run(&mut self, time: Duration) {
        self.world.run(time);
        let mut at_server = std::mem::take(&mut self.at_server);
        self.peers().for_each(|peer| peer.take_events(&mut at_server));
        let connection = self.world.only_client().connection_mut();
        let at_client: Vec<_> = std::iter::from_fn(|| connection.poll_event()).collect();
        self.up.note(&at_client, &at_server);
        self.down.note(&at_server, &at_client);
        at_server.clear();
        self.at_server = at_server;
    }
}

/// Lines from good to the worst that is promised anything.
fn lines() -> [Conditions; 4] {
    let line = |loss, duplicate, latency, jitter| Conditions {
        loss,
        duplicate,
        latency: MS * latency,
        jitter: MS * jitter,
        ..Conditions::default()
    };
    [
        line(0.0, 0.0, 20, 0),
        line(0.2, 0.25, 40, 100),
        line(0.05, 0.1, 10, 1200), // reordering beyond the 32 packages that acknowledgements speak of
        line(0.5, 0.25, 100, 200),
    ]
}

#[test]
fn a_retried_event_is_handled_once_and_each_sender_is_told_one_truth() {
    for (seed, conditions) in lines().into_iter().enumerate() {
        let mut talk = Talk::new(seed as u64, conditions, Config::default());
        for turn in 0..200 {
            talk.dispatch(if turn % 3 == 0 { 0 } else { 60 });
            talk.run(MS * 20);
        }
        talk.run(MS * 60_000);
        talk.up.check(true);
        talk.down.check(true);
        assert!(talk.up.got.len() > 100 && talk.down.got.len() > 80, "{seed}: {:?}", talk.up.got.len());
    }
}

#[test]
fn outages_of_any_length_and_direction_make_no_event_come_twice() {
    let outages = [500, 1200, 3000, 4900, 6000, 12_000, 60_000];
    let directions = [(true, true), (true, false), (false, true)];
    for (seed, (outage, cut)) in
        outages.into_iter().flat_map(|outage| directions.map(|cut| (outage, cut))).enumerate()
    {
        let mut talk = Talk::new(seed as u64, lines()[1], Config::default());
        talk.run(MS * 2000);
        for cut in [cut, (false, false)] {
            for _ in 0..10 {
                talk.dispatch(200);
                talk.dispatch(0);
                talk.run(MS * 20);
            }
            talk.world.cut = cut;
            talk.run(MS * outage);
        }
        talk.run(MS * 15_000);
        talk.up.check(true);
        talk.down.check(false);
    }
}

#[test]
fn nothing_comes_twice_by_a_session_whose_token_was_never_heard() {
    let mut talk = Talk::new(1, Conditions::default(), Config::default());
    while talk.world.only_client().connection().status() != Status::Connected {
        talk.run(MS);
    }
    talk.dispatch(50);
    talk.world.cut = (false, true);
    talk.run(MS * 300);
    assert_eq!(talk.up.got, [1]);
    // The machine sleeps until the server has forgotten its client.
    let at = *talk.world.clients.keys().next().unwrap();
    let asleep = talk.world.clients.remove(&at).unwrap();
    talk.world.run(MS * 70_000);
    talk.world.clients.insert(at, asleep);
    talk.dispatch(50);
    talk.world.cut = (false, false);
    talk.run(MS * 5000);
    assert_eq!((&talk.up.got[..], talk.up.timed_out[&1], talk.up.acknowledged[&2]), (&[1, 2][..], 1, 1));
}

#[test]
fn whoever_ends_the_connection_every_sender_is_told() {
    for end in 0..3 {
        let mut talk = Talk::new(end, lines()[1], Config::default());
        talk.run(MS * 2000);
        for _ in 0..20 {
            talk.dispatch(5);
            talk.dispatch(0);
            talk.run(MS * 7);
        }
        let now = talk.world.now;
        match end {
            0 => talk.world.only_client().disconnect(now, false),
            1 => talk.world.server.close(now),
            _ => talk.world.only_client().disconnect(now, true),
        }
        talk.run(MS * 10);
        talk.dispatch(3);
        // The side that is left notices by the silence, and forgets the other after a minute.
        talk.world.network.conditions.loss = 1.0;
        talk.run(MS * 70_000);
        let now = talk.world.now;
        talk.world.only_client().disconnect(now, false);
        talk.run(MS);
        talk.up.check(false);
        talk.down.check(false);
    }
}

/// Something that happens while two sides talk.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Events of both sides, to be sent again so often when they get lost, and some time after.
    Dispatch(u32, u32),
    /// The client's packages come from another address.
    Rebind,
    /// What clients send is lost for so many milliseconds, what the server sends, or both.
    Cut((bool, bool), u32),
    /// The line is another one of [`lines`].
    Line(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (prop_oneof![Just(0), 1..80_u32], 0..300_u32).prop_map(|(retries, ms)| Step::Dispatch(retries, ms)),
        1 => Just(Step::Rebind),
        1 => (prop_oneof![Just((true, true)), Just((true, false)), Just((false, true))], 100..14_000_u32)
            .prop_map(|(cut, ms)| Step::Cut(cut, ms)),
        1 => (0..4_usize).prop_map(Step::Line),
    ];
    proptest::collection::vec(step, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(16),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Whatever happens between two of ours: every sender hears exactly one outcome, a true one, and no event is
    /// handed on twice.
    #[test]
    fn one_truth_and_no_event_twice_whatever_happens(seed: u64, in_order: bool, steps in steps()) {
        let config = Config { ordered_events: in_order, ..Config::default() };
        let mut talk = Talk::new(seed, lines()[1], config);
        talk.run(MS * 1000);
        for step in steps {
            match step {
                Step::Dispatch(retries, ms) => {
                    talk.dispatch(retries);
                    talk.run(MS * ms);
                }
                Step::Rebind => {
                    let client = std::mem::take(&mut talk.world.clients).into_values().next().unwrap();
                    let at = talk.world.fresh_address();
                    talk.world.clients.insert(at, client);
                }
                Step::Cut(cut, ms) => {
                    talk.world.cut = cut;
                    talk.run(MS * ms);
                    talk.world.cut = (false, false);
                }
                Step::Line(line) => talk.world.network.conditions = lines()[line],
            }
        }
        // Long enough to be forgotten, for what waits for a client that found another session.
        talk.run(MS * 90_000);
        let now = talk.world.now;
        talk.world.only_client().disconnect(now, false);
        talk.world.server.close(now);
        talk.run(MS * 10);
        talk.up.check(false);
        talk.down.check(false);
    }
}

#[test]
fn events_come_in_order_if_asked_for_and_one_that_is_late_is_waited_for_in_vain_at_most_a_tenth_of_a_second()
{
    let ordered = Config { ordered_events: true, ..Config::default() };
    let line = Conditions { latency: MS * 40, jitter: MS * 60, duplicate: 0.1, ..Conditions::default() };
    let mut talk = Talk::new(3, line, ordered);
    for _ in 0..300 {
        talk.dispatch(0);
        talk.run(MS * 10);
    }
    talk.run(MS * 1000);
    for ledger in [&talk.up, &talk.down] {
        assert!(ledger.got.is_sorted(), "{:?}", ledger.got);
        ledger.check(false);
    }
    assert_eq!(talk.up.got.len(), 300);

    // With loss an event comes a second late, and nobody waits for it that long.
    talk.world.network.conditions = Conditions { latency: MS * 5, loss: 0.1, ..Conditions::default() };
    talk.run(MS * 2000);
    let (mut dispatched, mut longest) = (BTreeMap::new(), Duration::ZERO);
    for _ in 0..500 {
        talk.dispatch(20);
        dispatched.insert(talk.next, talk.world.now);
        for _ in 0..5 {
            let before = talk.up.got.len();
            talk.run(MS * 2);
            for number in &talk.up.got[before..] {
                if let Some(at) = dispatched.get(number) {
                    longest = longest.max(talk.world.now.saturating_sub(*at));
                }
            }
        }
    }
    talk.run(MS * 5000);
    talk.up.check(true);
    let peer = talk.peer().unwrap();
    let stats = peer.lock().connection().stats;
    assert!(stats.events_out_of_order > 5, "{stats:?}");
    assert!(longest > MS * 900, "some were lost and sent again: {longest:?}");
}

#[test]
fn an_original_is_sent_no_numbers() {
    let store = store(1, &serde_json::json!({}));
    let config = ServerConfig {
        connection: Config { ordered_events: true, ..Config::default() },
        ..ServerConfig::default()
    };
    let mut server = ServerEndpoint::new(config, Arc::clone(&store), [7; 16]);
    let mut raw = Raw::new(1);
    server.handle_datagram(MS, raw.at, &raw.package(Sqn::ZERO, &[]));
    let first = Package::decode(Kind::Server, &sent(&mut server, MS)[0].1).unwrap().header.sequence;
    server.handle_datagram(MS * 2, raw.at, &raw.package(first, &[]));
    let peer = server.peers().next().unwrap().clone();
    peer.lock().dispatch_retried(event("A"), None, 3).unwrap();
    let packages: Vec<_> = (2..200).flat_map(|ms| sent(&mut server, MS * ms)).collect();
    let events: Vec<_> = packages
        .iter()
        .flat_map(|(_, bytes)| Package::decode(Kind::Server, bytes).unwrap().events())
        .collect();
    assert_eq!(events, [&event("A")[..]]);
}
