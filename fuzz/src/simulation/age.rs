//! How old what a client sees is, while keys come and go.

use std::time::Duration;

use pygase::netsim::Conditions;

use super::state::State;
use super::world::World;

const MS: Duration = Duration::from_millis(1);
const TICK: u32 = 20;

/// Median and 99th percentile of the age of a client's state, with twenty keys a second that come and twenty that go.
pub fn of_the_state(
    round_trip: Duration,
    server_is_ours: bool,
    client_is_ours: bool,
) -> (Duration, Duration) {
    let line = Conditions { latency: round_trip / 2, ..Conditions::default() };
    let mut world = World::new(1000, line, server_is_ours, false);
    world.join(client_is_ours);
    let (mut pushed, mut ages) = (vec![world.now], Vec::new());
    for tick in 1..1000_u32 {
        let mut update = State::new();
        if tick % 5 < 2 {
            let gone = tick.checked_sub(5).map(|before| (before, None));
            let items = [(tick, Some("item".to_owned()))].into_iter().chain(gone);
            update.insert("items".to_owned(), items.collect());
        }
        world.tick(&update);
        pushed.push(world.now);
        for _ in 0..TICK {
            world.run_until(world.now + MS);
            // The first seconds are those of the join.
            if tick > 150 {
                ages.push(world.now.saturating_sub(pushed[world.clients[0].seen as usize]));
            }
        }
    }
    ages.sort_unstable();
    (ages[ages.len() / 2], ages[ages.len() * 99 / 100])
}
