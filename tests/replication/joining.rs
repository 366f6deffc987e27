//! How long it takes to get a large state, on the simulated clock.

use std::time::Duration;

use pygase::connection::Config;
use pygase::endpoint::ServerConfig;
use pygase::netsim::Conditions;

use crate::world::{MS, World, big};

fn line(round_trip: u32, loss: f64) -> Conditions {
    Conditions { latency: MS * round_trip / 2, loss, ..Conditions::default() }
}

/// One and a half times what one package per interval needs, and a second.
fn allowed(bytes: usize) -> Duration {
    Duration::from_secs_f64(1.5 * bytes as f64 / (1200.0 * 40.0) + 1.0)
}

fn join(conditions: Conditions, time_order: u16, bytes: usize, ticks: bool) -> Duration {
    let mut state = big(bytes);
    let mut world = World::new(1, conditions, time_order, &state);
    world.join();
    let mut waited = Duration::ZERO;
    loop {
        if let Some(left) = world.run_until_all_have(&state, MS * 20) {
            return waited + left;
        }
        waited += MS * 20;
        assert!(waited <= allowed(bytes), "not in time");
        if ticks {
            let key = (world.now.as_millis() % 64) as u32;
            let update = [("units".to_owned(), [(key, Some("elsewhere".to_owned()))].into())].into();
            crate::state::merge(&mut state, &update);
            world.push(&update);
        }
    }
}

/// The game ticks or not; the server is young or old.
#[test]
fn states_of_all_sizes_come_in_time() {
    for bytes in [1000, 64_000] {
        for time_order in [0, 1, 2, 900, 32_767, 32_768, 40_000, 65_535] {
            for ticks in [false, true] {
                let took = join(line(20, 0.0), time_order, bytes, ticks);
                assert!(took <= allowed(bytes), "{bytes} at {time_order}, ticks {ticks}: {took:?}");
            }
        }
    }
}

#[test]
fn a_megabyte_comes_in_time() {
    let took = join(line(50, 0.0), 1, 1_000_000, false);
    assert!(took < Duration::from_secs(15), "in bursts: {took:?}");
}

#[test]
fn distance_and_loss_cost_little() {
    let near = join(line(0, 0.0), 30_000, 64_000, false);
    let far = join(line(150, 0.0), 30_000, 64_000, false);
    assert!(far <= near + Duration::from_secs(1), "{near:?}, {far:?}");
    for round_trip in [0, 50, 150] {
        let lossy = join(line(round_trip, 0.1), 30_000, 64_000, false);
        assert!(lossy < Duration::from_secs(2), "{round_trip} ms: {lossy:?}");
    }
}

/// Bursts are four packages an interval at most, evenly.
#[test]
fn bursts_are_bounded() {
    let mut world = World::new(1, line(50, 0.0), 30_000, &big(400_000));
    world.join();
    world.run(MS * 500);
    let before = world.packages;
    world.run(MS * 1000);
    assert!((100..=161).contains(&(world.packages - before)), "{}", world.packages - before);
    assert!(world.largest <= 1200, "{}", world.largest);
    // When nothing is acknowledged any more, it is one package per interval again.
    world.network.conditions.loss = 1.0;
    let before = world.packages;
    world.run(MS * 1000);
    assert!(world.packages - before <= 48 + 40, "{}", world.packages - before);
}

#[test]
fn the_size_of_packages_is_a_choice() {
    for package_size in [600, 2048] {
        let connection = Config { package_size, ..Config::default() };
        let config = ServerConfig { connection, ..ServerConfig::default() };
        let state = big(64_000);
        let mut world = World::with_config(1, line(20, 0.0), 30_000, &state, config);
        world.join();
        assert!(world.run_until_all_have(&state, allowed(64_000)).is_some());
        assert!((package_size - 40..=package_size).contains(&world.largest), "{}", world.largest);
    }
}
