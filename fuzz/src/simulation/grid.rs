//! The grid: every kind of fault with every other, for each pair of implementations.

use std::collections::BTreeMap;
use std::time::Duration;

use pygase::netsim::{Conditions, HELD_BACK};

use super::state::State;
use super::world::{Client, Mind, World, server_address};

const MS: Duration = Duration::from_millis(1);
const LOSS: [f64; 6] = [0.0, 0.01, 0.05, 0.1, 0.2, 0.3];
const DELAY: [u32; 5] = [0, 25, 100, 250, 500];
const DUPLICATE: [f64; 4] = [0.0, 0.01, 0.1, 0.25];
const REORDER: [f64; 4] = [0.0, 0.02, 0.1, 0.3];
const JITTER: [u32; 3] = [0, 20, 100];
const PAIRS: [Pair; 3] = [Pair::OursOurs, Pair::OursOriginal, Pair::OriginalOurs];

/// Whose server and whose client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pair {
    /// Ours with ours.
    OursOurs,
    /// Our server, an unmodified client.
    OursOriginal,
    /// An unmodified server, our client.
    OriginalOurs,
}

/// One combination.
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    /// Whose server and whose client.
    pub pair: Pair,
    /// What the line does.
    pub conditions: Conditions,
}

/// All combinations, in an order that never changes.
pub fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    for pair in PAIRS {
        for loss in LOSS {
            for delay in DELAY {
                for duplicate in DUPLICATE {
                    for reorder in REORDER {
                        let latency = MS * delay;
                        let line = Conditions { latency, loss, duplicate, reorder, ..Conditions::default() };
                        cells.push(Cell { pair, conditions: line });
                    }
                }
            }
        }
    }
    cells
}

/// Plays a game of six seconds in that cell and checks what is promised there. The seed also chooses the jitter.
///
/// # Panics
/// When something promised does not hold.
pub fn run(cell: Cell, seed: u64) {
    let mut line = cell.conditions;
    line.jitter = MS * JITTER[(seed % 3) as usize];
    let is_ordered = seed.is_multiple_of(2);
    let mut world = World::new(seed, line, cell.pair != Pair::OriginalOurs, is_ordered);
    world.join(cell.pair != Pair::OursOriginal);
    // A copy of a datagram kills an original.
    let spared = Conditions { duplicate: 0.0, ..line };
    match cell.pair {
        Pair::OursOurs => {}
        Pair::OursOriginal => drop(world.network.towards.insert(world.clients[0].at, spared)),
        Pair::OriginalOurs => drop(world.network.towards.insert(server_address(), spared)),
    }
    let mut random = fastrand::Rng::with_seed(seed);
    let start = world.now;
    for tick in 1..=300_u32 {
        world.run_until(start + MS * 20 * tick);
        world.tick(&changes(&mut random));
        if tick % 10 == 0 && tick > 100 {
            world.dispatch_up(0, 12);
            world.dispatch_down(0, 12);
        }
    }
    let last_change = world.now;
    let round_trip = (line.latency + line.jitter) * 2;
    let in_time = Duration::from_secs(1) + round_trip * 2;
    while !world.is_in_sync(|_| true) {
        assert!(world.now < last_change + in_time * 4, "never in sync");
        world.run_until(world.now + MS * 10);
    }
    let took = world.now.saturating_sub(last_change);
    assert!(took <= in_time, "in sync after {took:?} instead of {in_time:?}");
    world.run_until(last_change + Duration::from_secs(16));
    check(&world.clients[0], cell.pair, &line, is_ordered);
}

fn changes(random: &mut fastrand::Rng) -> State {
    let text = |random: &mut fastrand::Rng| (random.u8(..) > 60).then(|| "x".repeat(random.usize(1..20)));
    let units: BTreeMap<_, _> = (0..random.usize(..3)).map(|_| (random.u32(..60), text(random))).collect();
    State::from([("units".to_owned(), units)])
}

fn check(client: &Client, pair: Pair, line: &Conditions, is_ordered: bool) {
    assert!(!client.was_lost, "disconnected");
    for (way, events) in [("up", &client.up), ("down", &client.down)] {
        assert!(!events.fates.is_empty());
        for (number, fate) in &events.fates {
            assert_eq!(fate.acknowledged + fate.timed_out, 1, "outcomes of {number} {way}: {fate:?}");
            assert!(fate.acknowledged == 0 || fate.came > 0, "{number} {way} is said to have come");
            if line.loss <= 0.2 {
                let took = fate.arrived.map(|at| at.saturating_sub(fate.at));
                assert!(took.is_some_and(|took| took <= Duration::from_secs(10)), "{number} {way}: {took:?}");
            }
            assert!(fate.came <= 1 || pair != Pair::OursOurs, "{number} {way} came {} times", fate.came);
        }
        let spread = line.jitter + if line.reorder > 0.0 { HELD_BACK.1 } else { Duration::ZERO };
        if pair == Pair::OursOurs && is_ordered && line.loss <= 0.0 && spread <= MS * 70 {
            assert!(events.order.is_sorted(), "order {way}: {:?}", events.order);
        }
    }
    let Mind::Ours(ours) = &client.mind else { return };
    let stats = ours.connection().stats;
    assert!(line.duplicate < 0.05 || stats.duplicate > 0, "copies are counted");
    let held_back = ((HELD_BACK.0 + HELD_BACK.1) / 2).mul_f64(line.reorder);
    let real = ((line.latency + line.jitter / 2 + held_back) * 2).as_secs_f64();
    // A package that takes a second counts as lost: slower lines have no round trip time.
    if line.loss <= 0.05 && real < 0.9 {
        // What arrives waits half an interval, in the middle, for the package that acknowledges it.
        let told = ours.connection().latency - 0.0125;
        assert!((told - real).abs() <= 0.2 * real + 0.025, "a round trip of {real} s is said to be {told} s");
    }
}
