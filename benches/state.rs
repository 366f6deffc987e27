//! What a tick and a join cost: `cargo bench --no-default-features --bench state`.
#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark that panics has failed")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use pygase::state::{PeerKind, Replica, Store, View};
use pygase::wire::{Sqn, msgpack};

const WORLD: u32 = 200_000;
const TICK: Duration = Duration::from_millis(20);

fn units(leaves: u32, text: &str) -> Vec<u8> {
    let mut update = Vec::new();
    msgpack::write_map_len(&mut update, 1);
    msgpack::write_str(&mut update, "units");
    msgpack::write_map_len(&mut update, leaves);
    for leaf in 0..leaves {
        msgpack::write_uint(&mut update, u64::from(leaf));
        msgpack::write_str(&mut update, text);
    }
    update
}

fn join(view: &mut View, store: &mut Store, now: &mut Duration, mut each: impl FnMut(&[u8])) {
    let mut update = Vec::new();
    while view.is_behind(store) || view.label() != store.time_order() {
        *now += Duration::from_millis(25);
        update.clear();
        view.write_update(store, *now, 1186, &mut update);
        each(&update);
        view.report(msgpack::update_time_order(&update).unwrap(), store);
    }
}

fn pushes(c: &mut Criterion) {
    let mut group = c.benchmark_group("push_update");
    for leaves in [5, 100, 10_000] {
        let mut store = Store::new(Sqn::new(30_000), &units(WORLD, "here")).unwrap();
        let update = units(leaves, "there");
        group.bench_with_input(BenchmarkId::from_parameter(leaves), &update, |b, update| {
            b.iter(|| store.push(Duration::ZERO, store.time_order().next(), black_box(update)).unwrap());
        });
    }
}

/// One tick with five changes for so many clients, which are at so many different revisions.
fn deltas(c: &mut Criterion) {
    let mut group = c.benchmark_group("delta");
    for (clients, bases) in [(1, 1), (1000, 1), (1000, 100)] {
        let mut store = Store::new(Sqn::new(30_000), &units(1000, "here")).unwrap();
        let mut now = Duration::ZERO;
        let mut views: Vec<_> = (0..clients).map(|_| View::new(&store, PeerKind::Ours)).collect();
        for view in &mut views {
            join(view, &mut store, &mut now, |_| {});
        }
        let mut out = Vec::new();
        for base in 0..bases {
            store.push(now, store.time_order().next(), &units(5, "there")).unwrap();
            for view in views.iter_mut().skip(base).step_by(bases) {
                out.clear();
                view.write_update(&mut store, now, 1186, &mut out);
                view.report(store.time_order(), &store);
            }
        }
        let update = units(5, "back");
        let before = store.encodings();
        let mut ticks = 0_usize;
        group.bench_function(format!("{clients} clients, {bases} bases"), |b| {
            b.iter(|| {
                ticks += 1;
                now += TICK;
                store.push(now, store.time_order().next(), &update).unwrap();
                for (index, view) in views.iter_mut().enumerate() {
                    out.clear();
                    view.write_update(&mut store, now, 1186, black_box(&mut out));
                    // Each reports so rarely that there are so many bases.
                    if (index + ticks).is_multiple_of(bases) {
                        view.report(store.time_order(), &store);
                    }
                }
            });
        });
        println!("{} encodings for each tick", (store.encodings() - before) as f64 / ticks as f64);
    }
}

fn joins(c: &mut Criterion) {
    let mut group = c.benchmark_group("join");
    group.sample_size(10);
    for leaves in [5400, WORLD] {
        let mut now = Duration::ZERO;
        group.bench_function(format!("{leaves} leaves"), |b| {
            b.iter_batched(
                || Store::new(Sqn::new(30_000), &units(leaves, "here")).unwrap(),
                |mut store| {
                    let mut replica = Replica::new();
                    let mut view = View::new(&store, PeerKind::Ours);
                    join(&mut view, &mut store, &mut now, |update| {
                        replica.apply(update).unwrap();
                    });
                    replica
                },
                BatchSize::LargeInput,
            );
        });
    }
}

criterion_group!(benches, pushes, deltas, joins);
criterion_main!(benches);
