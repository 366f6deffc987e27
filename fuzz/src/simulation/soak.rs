//! Long games with many clients on a network that changes: all that can go wrong, in an order that a seed chooses.

use std::time::Duration;

use pygase::netsim::Conditions;

use super::state::State;
use super::world::{World, server_address};
use crate::allocation::live;

const MS: Duration = Duration::from_millis(1);

/// Plays one game and checks that everybody has what the server has once the network is good again.
///
/// # Panics
/// When something promised does not hold.
pub fn run(seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut world = World::new(seed, Conditions::default(), true, random.bool());
    let ours_only = random.bool();
    for _ in 0..random.usize(1..6) {
        world.join(ours_only || random.u8(..) < 170);
    }
    let mut outage_until = world.now;
    let mut was_restarted = false;
    for _ in 0..random.usize(2..10) {
        world.network.conditions = weather(&mut random);
        if random.u8(..) < 30 && ours_only {
            outage_until = world.now + MS * [500, 1200, 3000, 4900, 6000][random.usize(..5)];
        }
        if random.u8(..) < 20 && ours_only {
            // Nobody hears of it before what the one before has sent is gone.
            world.start_server(random.u16(..));
            outage_until = world.now + MS * 1000;
            was_restarted = true;
        }
        if random.u8(..) < 30 && ours_only {
            // A router gives a client another port; one that has its token by then, as it has with the first of the
            // state, goes on with its session.
            let index = random.usize(..world.clients.len());
            let client = &world.clients[index];
            if world.now > client.joined + MS * 4000 && !client.game.is_empty() {
                world.clients[index].at = world.fresh_address(index);
            }
        }
        if random.u8(..) < 60 && world.clients.len() < 8 {
            world.join(ours_only || random.bool());
        }
        let end = world.now + MS * random.u32(300..2000);
        while world.now < end {
            spare_originals(&mut world, outage_until);
            world.tick(&changes(&mut random));
            let index = random.usize(..world.clients.len());
            match random.u8(..) {
                0..40 => world.dispatch_up(index, random.u32(..4)),
                40..80 => world.dispatch_down(index, random.u32(..4)),
                _ => {}
            }
            world.run_until(world.now + MS * 20);
        }
    }
    world.network.conditions = Conditions { latency: MS * 20, ..Conditions::default() };
    spare_originals(&mut world, Duration::ZERO);
    // Whoever was lost finds back: three tries from the old port, one a second, then from a fresh one.
    let last_change = world.now;
    let in_time = Duration::from_secs(15);
    while !world.is_in_sync(|client| !client.was_lost || client.is_ours()) {
        assert!(world.now < last_change + in_time, "not in sync {in_time:?} after the last change");
        world.run_until(world.now + MS * 20);
    }
    world.run_until(world.now + Duration::from_secs(6));
    for (index, client) in world.clients.iter().enumerate() {
        for (way, events) in [("up", &client.up), ("down", &client.down)] {
            for (number, fate) in &events.fates {
                assert!(
                    fate.acknowledged + fate.timed_out <= 1,
                    "outcomes of {number} {way} of {index}: {fate:?}"
                );
                // What waits for others in order dies with its server.
                let is_true = fate.acknowledged == 0 || fate.came > 0 || was_restarted;
                assert!(is_true, "{number} {way} of {index} is said to have come: {fate:?}");
                // A server that was restarted does not know what came before.
                let is_once = fate.came <= 1 || !client.is_ours() || was_restarted;
                assert!(is_once, "{number} {way} of {index} came {} times", fate.came);
            }
        }
    }
}

/// Plays for an hour with two clients, on lines that change, with outages and other ports; gives how many bytes are
/// allocated after each ten minutes, once all is quiet.
///
/// # Panics
/// When somebody does not have what the server has in the end.
pub fn an_hour(seed: u64) -> [isize; 6] {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut world = World::new(seed, Conditions::default(), true, true);
    world.join(true);
    world.join(true);
    [(); 6].map(|()| {
        for minute in 0..10 {
            world.network.conditions = weather(&mut random);
            if minute == 3 {
                world.network.conditions.loss = 1.0;
            }
            let end = world.now + MS * if minute == 3 { 8000 } else { 59_000 };
            while world.now < end {
                world.tick(&changes(&mut random));
                for index in 0..2 {
                    world.dispatch_up(index, random.u32(..4));
                    world.dispatch_down(index, random.u32(..4));
                }
                world.run_until(world.now + MS * 100);
            }
            world.network.conditions = Conditions { latency: MS * 20, ..Conditions::default() };
            world.run_until(world.now + Duration::from_secs(1));
            if minute == 6 {
                world.clients[0].at = world.fresh_address(0);
            }
        }
        world.run_until(world.now + Duration::from_secs(15));
        assert!(world.is_in_sync(|_| true), "not in sync");
        for client in &mut world.clients {
            (client.up, client.down) = Default::default();
        }
        live()
    })
}

fn weather(random: &mut fastrand::Rng) -> Conditions {
    let often = |random: &mut fastrand::Rng, most: f64| if random.bool() { random.f64() * most } else { 0.0 };
    Conditions {
        latency: MS * [0, 5, 25, 100, 250][random.usize(..5)],
        jitter: MS * [0, 20, 100][random.usize(..3)],
        loss: often(random, 0.5),
        burst: MS * [0, 0, 100, 500][random.usize(..4)],
        duplicate: often(random, 0.25),
        reorder: often(random, 0.3),
        corrupt: 0.0,
        rate: 0,
    }
}

/// No copies to originals, and during an outage nothing for anybody.
fn spare_originals(world: &mut World, outage_until: Duration) {
    let mut line = world.network.conditions;
    if world.now < outage_until {
        line.loss = 1.0;
    }
    world.network.towards.insert(server_address(), line);
    for client in &world.clients {
        let duplicate = if client.is_ours() { line.duplicate } else { 0.0 };
        world.network.towards.insert(client.at, Conditions { duplicate, ..line });
    }
}

fn changes(random: &mut fastrand::Rng) -> State {
    let count = if random.u8(..) < 4 { random.usize(..200) } else { random.usize(..3) };
    let unit = |random: &mut fastrand::Rng| {
        let text = (random.u8(..) > 60).then(|| "x".repeat(random.usize(1..40)));
        (random.u32(..400), text)
    };
    State::from([("units".to_owned(), (0..count).map(|_| unit(random)).collect())])
}
