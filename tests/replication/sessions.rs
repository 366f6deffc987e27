//! Whatever the network does, and the server: in the end every client has what the server has.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use pygase::netsim::Conditions;
use pygase::wire::Sqn;

use crate::state::{State, merge};
use crate::world::{MS, World, big};

#[derive(Clone, Debug)]
enum Deed {
    Push(State),
    Wait(u32),
    Join,
    Outage(u32),
    Restart(u16, State),
}

fn units() -> impl Strategy<Value = State> {
    let text = prop::option::weighted(0.7, (1usize..60).prop_map(|length| "x".repeat(length)));
    let group = prop_oneof![Just("units".to_owned()), Just("walls".to_owned())];
    prop::collection::btree_map(group, prop::collection::btree_map(0u32..200, text, 0..40), 0..3)
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        8 => units().prop_map(Deed::Push),
        8 => (1u32..120).prop_map(Deed::Wait),
        1 => Just(Deed::Join),
        1 => prop_oneof![4 => 500u32..6000, 1 => 6000u32..60_000].prop_map(Deed::Outage),
        1 => (any::<u16>(), units()).prop_map(|(time_order, state)| Deed::Restart(time_order, state)),
    ]
}

fn living(update: &State) -> State {
    let mut state = State::new();
    merge(&mut state, update);
    state
}

fn run(
    seed: u64,
    conditions: Conditions,
    time_order: u16,
    size: usize,
    deeds: &[Deed],
) -> Result<(), TestCaseError> {
    let mut truth = big(size);
    let mut world = World::new(seed, conditions, time_order, &truth);
    world.join();
    for deed in deeds {
        match deed {
            Deed::Push(update) => {
                world.push(update);
                merge(&mut truth, update);
                world.run(MS * 20);
            }
            Deed::Wait(time) => world.run(MS * *time),
            Deed::Join if world.clients.len() < 3 => world.join(),
            Deed::Join => {}
            Deed::Outage(time) => world.lose_all(MS * *time),
            Deed::Restart(time_order, state) => {
                truth = living(state);
                world.restart(*time_order, &truth);
            }
        }
    }
    world.network.conditions = Conditions { latency: conditions.latency, ..Conditions::default() };
    let took = world.run_until_all_have(&truth, Duration::from_secs(30));
    prop_assert!(took.is_some(), "not the same in the end");
    // And it stays so.
    world.run(MS * 1000);
    prop_assert!(world.clients.values().all(|client| client.game == truth));
    Ok(())
}

fn cases(default: u32) -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(default)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(500), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn clients_of_ours_end_with_what_the_server_has(
        seed in any::<u64>(),
        latency in 0u32..100,
        jitter in prop_oneof![Just(0u32), 0u32..80],
        loss in prop_oneof![Just(0.0), 0.0..0.5],
        duplicate in prop_oneof![Just(0.0), Just(0.2)],
        time_order in prop_oneof![Just(0u16), Just(1), Just(32768), Just(65530), any::<u16>()],
        size in prop_oneof![Just(100usize), Just(5000), Just(30_000)],
        deeds in prop::collection::vec(deed(), 0..25),
    ) {
        let conditions = Conditions { latency: MS * latency, jitter: MS * jitter, loss, duplicate, ..Conditions::default() };
        run(seed, conditions, time_order, size, &deeds)?;
    }
}

/// After an outage the game sees the old state until the new one is whole.
#[test]
fn a_game_never_sees_half_a_world_again() {
    for restarts in [false, true] {
        let state = big(64_000);
        let count = state["units"].len();
        let mut world =
            World::new(3, Conditions { latency: MS * 20, ..Conditions::default() }, 30_000, &state);
        world.join();
        assert!(world.run_until_all_have(&state, Duration::from_secs(4)).is_some());
        world.network.conditions.loss = 1.0;
        world.run(MS * 2000);
        let last = State::from([("units".to_owned(), BTreeMap::from([(0, Some("last".to_owned()))]))]);
        let mut truth = state.clone();
        merge(&mut truth, &last);
        if restarts {
            world.restart(1, &truth);
        } else {
            world.push(&last);
        }
        world.network.conditions.loss = 0.0;
        for client in world.clients.values_mut() {
            client.sizes.clear();
        }
        assert!(world.run_until_all_have(&truth, Duration::from_secs(4)).is_some());
        for client in world.clients.values() {
            assert!(client.sizes.iter().all(|&size| size == count), "{:?}", client.sizes);
        }
    }
}

/// A server that comes back at once with another state leaves nothing of the old one behind.
#[test]
fn a_restart_leaves_no_stale_key() {
    for pause in [10, 100, 400, 700, 950, 1500, 7000] {
        let old = big(3000);
        let mut world = World::new(4, Conditions { latency: MS * 5, ..Conditions::default() }, 500, &old);
        world.join();
        assert!(world.run_until_all_have(&old, Duration::from_secs(2)).is_some());
        world.run(MS * 1500);
        world.network.conditions.loss = 1.0;
        world.run(MS * pause);
        world.network.conditions.loss = 0.0;
        let new = State::from([("walls".to_owned(), BTreeMap::from([(7, Some("new".to_owned()))]))]);
        world.restart(3, &new);
        assert!(world.run_until_all_have(&new, Duration::from_secs(8)).is_some(), "after {pause} ms");
    }
}

/// A minute away ends the session; meanwhile the time order goes on by less, more and much more than half its
/// range, and past its wrap. The client's own numbers wrap, too.
#[test]
fn a_minute_away_and_a_wrap_lose_nothing() {
    for (time_order, pushes) in [(1, 3_000_u32), (40_000, 30_000), (40_000, 34_000), (65_000, 60_000)] {
        let mut truth = big(5000);
        let conditions = Conditions { latency: MS * 30, loss: 0.05, ..Conditions::default() };
        let mut world = World::new(8, conditions, time_order, &truth);
        world.join();
        for client in world.clients.values_mut() {
            client.connection.connection_mut().local_sequence = Sqn::new(65_500);
        }
        assert!(world.run_until_all_have(&truth, Duration::from_secs(4)).is_some());
        world.run(MS * 1500);
        let numbers =
            world.clients.values().map(|client| client.connection.connection().local_sequence.value());
        assert!(numbers.into_iter().all(|number| (1..500).contains(&number)), "past the wrap");
        world.network.conditions.loss = 1.0;
        for number in 0..60_000 {
            if number < pushes {
                let text = (number % 3 > 0).then(|| number.to_string());
                let units = BTreeMap::from([(number * 7919 % 600, text)]);
                let update = State::from([("units".to_owned(), units)]);
                world.push(&update);
                merge(&mut truth, &update);
            }
            world.run(MS);
        }
        world.network.conditions.loss = 0.0;
        let took = world.run_until_all_have(&truth, Duration::from_secs(10));
        assert!(took.is_some(), "{pushes} updates after {time_order}");
    }
}
