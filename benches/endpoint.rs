//! What a package pair costs a server with 2,000 clients, without a socket:
//! `cargo bench --no-default-features --bench endpoint`.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a benchmark that panics has failed"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "the clients' work between two measurements is not the server's"
)]

mod world;

use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};

const CLIENTS: u16 = 2000;

/// One package received and one sent, with the share each has in the schedule.
fn pairs(c: &mut Criterion) {
    let mut world = world::World::new(CLIENTS);
    c.bench_function("package pair of 2000 clients", |b| {
        b.iter_custom(|wanted| {
            let (mut pairs, mut took) = (0, Duration::ZERO);
            while pairs < wanted {
                let datagrams = world.next_millisecond();
                let start = Instant::now();
                world.serve(&datagrams);
                took += start.elapsed();
                pairs += world.read();
            }
            took.mul_f64(wanted as f64 / pairs as f64)
        });
    });
}

criterion_group!(benches, pairs);
criterion_main!(benches);
