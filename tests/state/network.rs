//! A server and its clients over a network that loses, doubles, delays and reorders.

use std::time::Duration;

use proptest::prelude::*;
use pygase::state::{PeerKind, Replica, Store, View};
use pygase::wire::{Sqn, msgpack};

use crate::model::{Dict, Key, Value, marker, merge, merge_as_original, pack, parse};

const ROUND: Duration = Duration::from_millis(25);

/// What a client makes of updates.
pub(crate) enum Copy {
    Ours { replica: Box<Replica>, game: Dict },
    Original { time_order: Sqn, state: Dict },
}

impl Copy {
    pub(crate) fn new(kind: PeerKind) -> Self {
        match kind {
            PeerKind::Ours => Self::Ours { replica: Box::default(), game: Dict::new() },
            PeerKind::Original => Self::Original { time_order: Sqn::ZERO, state: Dict::new() },
        }
    }

    pub(crate) fn time_order(&self) -> Sqn {
        match self {
            Self::Ours { replica, .. } => replica.time_order(),
            Self::Original { time_order, .. } => *time_order,
        }
    }

    pub(crate) fn apply(&mut self, update: &[u8]) {
        match self {
            Self::Ours { replica, .. } => drop(replica.apply(update).unwrap()),
            Self::Original { time_order, state } => {
                let label = msgpack::update_time_order(update).unwrap();
                if label.newer_than(*time_order) {
                    merge_as_original(state, &parse(update));
                    *time_order = label;
                }
            }
        }
    }

    fn look(&mut self) {
        if let Self::Ours { replica, game } = self
            && let Some(pulled) = replica.pull()
        {
            if pulled.fresh {
                game.clear();
            }
            let update = parse(&pulled.update);
            merge(game, &update);
        }
    }

    pub(crate) fn state(&mut self) -> &Dict {
        self.look();
        match self {
            Self::Ours { game, .. } => game,
            Self::Original { state, .. } => state,
        }
    }
}

struct Client {
    joins: usize,
    budget: usize,
    copy: Copy,
    kind: PeerKind,
    view: Option<View>,
    /// When it arrives, what it acknowledges, the update.
    down: Vec<(usize, usize, Vec<u8>)>,
    /// When it arrives, its number, the label it reports.
    up: Vec<(usize, usize, Sqn)>,
    newest_report: usize,
    /// The round of the first package that asked for everything again.
    asked_after: usize,
}

impl Client {
    fn new(&(joins, budget, kind): &(usize, usize, PeerKind)) -> Self {
        let copy = Copy::new(kind);
        let (view, down, up) = (None, Vec::new(), Vec::new());
        Self { joins, budget, copy, kind, view, down, up, newest_report: 0, asked_after: 0 }
    }

    /// The server hears what has arrived and sends the next update.
    fn serve(&mut self, round: usize, store: &mut Store, network: &mut Network) -> Result<(), TestCaseError> {
        let view = self.view.get_or_insert_with(|| View::new(store, self.kind));
        self.up.retain(|&(due, number, label)| {
            if due <= round && number > self.newest_report {
                self.newest_report = number;
                view.report(label, store);
            }
            due > round
        });
        let mut update = Vec::new();
        view.write_update(store, ROUND * round as u32, self.budget, &mut update);
        let entries = leaves(&parse(&update));
        prop_assert!(update.len() <= self.budget || entries <= 1, "{} bytes", update.len());
        let arrivals = network.arrivals(round).map(|due| (due, self.newest_report, update.clone()));
        self.down.extend(arrivals);
        Ok(())
    }

    /// The client takes what has arrived and reports.
    fn play(&mut self, round: usize, network: &mut Network) {
        for (due, acknowledged, update) in std::mem::take(&mut self.down) {
            if due > round {
                self.down.push((due, acknowledged, update));
            } else if acknowledged >= self.asked_after {
                self.copy.apply(&update);
            }
        }
        if network.random.f64() < 0.3 {
            self.copy.look();
        }
        let label = self.copy.time_order();
        self.up.extend(network.arrivals(round).map(|due| (due, round, label)));
    }

    fn ask_again(&mut self, round: usize) {
        if let Copy::Ours { replica, .. } = &mut self.copy {
            replica.resync();
            self.asked_after = round;
        }
    }

    fn is_behind(&self, store: &Store) -> bool {
        let behind = |view: &View| view.is_behind(store) || view.label() != self.copy.time_order();
        let filling = matches!(&self.copy, Copy::Ours { replica, .. } if replica.is_resyncing());
        filling || self.view.as_ref().is_none_or(behind)
    }
}

/// How bad the network is.
#[derive(Clone, Copy, Debug)]
struct Weather {
    seed: u64,
    loss: f64,
    doubled: f64,
    delay: usize,
}

#[derive(Clone, Debug)]
struct Plan {
    weather: Weather,
    time_order: u16,
    start: Dict,
    /// What the game pushes in each round, if anything.
    pushes: Vec<Option<Dict>>,
    /// Round of joining, budget, kind.
    clients: Vec<(usize, usize, PeerKind)>,
    /// In which round which client of ours asks for everything again.
    resync: (usize, usize),
}

struct Network {
    weather: Weather,
    random: fastrand::Rng,
}

impl Network {
    fn new(weather: Weather) -> Self {
        Self { weather, random: fastrand::Rng::with_seed(weather.seed) }
    }

    /// When what is sent now arrives: not at all, once or twice.
    fn arrivals(&mut self, round: usize) -> impl Iterator<Item = usize> + use<> {
        let Weather { loss, doubled, delay, .. } = self.weather;
        let copies = usize::from(self.random.f64() >= loss) + usize::from(self.random.f64() < doubled);
        let dues: Vec<_> = (0..copies).map(|_| round + self.random.usize(0..=delay)).collect();
        dues.into_iter()
    }
}

fn run(plan: &Plan) -> Result<(), TestCaseError> {
    let mut network = Network::new(plan.weather);
    let mut truth = Dict::new();
    merge(&mut truth, &plan.start);
    let mut store = Store::new(Sqn::new(plan.time_order), &pack(&plan.start)).unwrap();
    let mut clients: Vec<_> = plan.clients.iter().map(Client::new).collect();
    let mut settled = false;
    for round in 1..5000 {
        if let Some(Some(update)) = plan.pushes.get(round) {
            merge(&mut truth, update);
            let time_order = store.time_order().next();
            store.push(ROUND * round as u32, time_order, &pack(update)).unwrap();
        }
        for (index, client) in clients.iter_mut().enumerate() {
            if (index, round) == plan.resync {
                client.ask_again(round);
            }
            if round >= client.joins {
                client.serve(round, &mut store, &mut network)?;
                client.play(round, &mut network);
            }
        }
        let floors = clients.iter().filter_map(|client| client.view.as_ref().map(View::floor));
        store.forget(floors.min().unwrap_or(store.tree().revision()));
        let over = round > plan.pushes.len() && round > plan.resync.1;
        if over && !clients.iter().any(|client| client.is_behind(&store)) {
            settled = true;
            break;
        }
    }
    prop_assert!(settled, "still not the same");
    prop_assert_eq!(&parse(&store.tree().to_msgpack()), &truth);
    for client in &mut clients {
        prop_assert_eq!(client.copy.state(), &truth, "{:?}", client.kind);
    }
    store.forget(store.tree().revision());
    prop_assert_eq!(store.tree().tombstones(), 0);
    let afresh = Store::new(Sqn::new(1), &store.tree().to_msgpack()).unwrap();
    prop_assert_eq!((store.tree().size(), store.tree().len()), (afresh.tree().size(), afresh.tree().len()));
    Ok(())
}

fn leaves(dict: &Dict) -> usize {
    let of = |value: &Value| if let Value::Map(dict) = value { leaves(dict).max(1) } else { 1 };
    dict.values().map(of).sum()
}

fn key() -> impl Strategy<Value = Key> {
    prop_oneof![Just(b"\xa1a".to_vec()), Just(b"\xa1b".to_vec()), Just(b"\xa4ship".to_vec())].prop_map(Key)
}

fn inner_key() -> impl Strategy<Value = Key> {
    prop_oneof![key(), Just(Key(vec![1])), Just(Key(vec![0x92, 2, 3])), Just(Key(vec![0xc0]))]
}

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        (0u8..128).prop_map(|byte| Value::Leaf(vec![byte])),
        (1u8..32, 0u8..26).prop_map(|(length, letter)| {
            let mut bytes = vec![0xa0 | length];
            bytes.resize(1 + usize::from(length), b'a' + letter);
            Value::Leaf(bytes)
        }),
        Just(Value::Leaf(vec![0x92, 1, 0x81, 1, 2])),
    ]
}

fn value(deletions: u32) -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![deletions => Just(marker()), 6 => leaf()];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop::collection::btree_map(inner_key(), inner, 0..4).prop_map(Value::Map)
    })
}

pub(crate) fn update(deletions: u32) -> impl Strategy<Value = Dict> {
    prop::collection::btree_map(key(), value(deletions), 0..3)
}

fn weather() -> impl Strategy<Value = Weather> {
    (any::<u64>(), prop_oneof![Just(0.0), 0.0..0.5], prop_oneof![Just(0.0), Just(0.2)], 0usize..5)
        .prop_map(|(seed, loss, doubled, delay)| Weather { seed, loss, doubled, delay })
}

fn time_order() -> impl Strategy<Value = u16> {
    prop_oneof![Just(0u16), Just(1), Just(32767), Just(32768), Just(65530), Just(65535), any::<u16>()]
}

fn plan(
    kind: impl Strategy<Value = PeerKind>,
    budgets: std::ops::Range<usize>,
) -> impl Strategy<Value = Plan> {
    let client = (0usize..30, budgets, kind);
    (
        weather(),
        time_order(),
        update(0),
        prop::collection::vec(prop::option::weighted(0.6, update(3)), 0..60),
        prop::collection::vec(client, 1..4),
        (0usize..4, 0usize..60),
    )
        .prop_map(|(weather, time_order, start, pushes, clients, resync)| Plan {
            weather,
            time_order,
            start,
            pushes,
            clients,
            resync,
        })
}

pub(crate) fn any_kind() -> impl Strategy<Value = PeerKind> {
    prop_oneof![Just(PeerKind::Ours), Just(PeerKind::Original)]
}

/// How many plans are tried; `PROPTEST_CASES` says otherwise.
pub(crate) fn cases(default: u32) -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(default)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(1500), failure_persistence: None, ..ProptestConfig::default() })]

    /// Updates in several parts, clients of both kinds.
    #[test]
    fn clients_converge(plan in plan(any_kind(), 40..150)) {
        run(&plan)?;
    }

    /// Packages with room for everything: nothing an original is sent becomes a marker in its state.
    #[test]
    fn originals_converge(plan in plan(Just(PeerKind::Original), 1200..1201)) {
        run(&plan)?;
    }
}
