//! A fixed number of package pairs, for a tool that counts instructions: see `scripts/instructions.py`.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a benchmark that panics has failed"
)]

mod world;

/// How long the game goes on after all have joined.
const MILLISECONDS: u64 = 10 * world::INTERVAL;

fn main() {
    let mut world = world::World::new(2000);
    let mut pairs = 0;
    for _ in 0..MILLISECONDS {
        let datagrams = world.next_millisecond();
        measured(&mut world, &datagrams);
        pairs += world.read();
    }
    println!("{pairs} pairs");
}

/// What is counted: nothing of the joining and of the clients.
#[inline(never)]
fn measured(world: &mut world::World, datagrams: &[(std::net::SocketAddr, Vec<u8>)]) {
    world.serve(datagrams);
    std::hint::black_box(world);
}
