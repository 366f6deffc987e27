//! Games on the simulated network: `play soak FIRST COUNT`, `play grid SEEDS EVERY` (each cell with so many seeds, or
//! only every so manieth cell), or `play joins SECONDS EACH_SECOND`, which is what they leave in the server's memory.

use std::panic::catch_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use pygase::endpoint::ServerConfig;
use pygase::net::clock;
use pygase_fuzz::crowd;
use pygase_fuzz::simulation::{grid, soak};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |index: usize| arguments.get(index).and_then(|text| text.parse::<u64>().ok());
    let (Some(first), Some(second)) = (number(1), number(2)) else {
        eprintln!("usage: play soak FIRST COUNT | play grid SEEDS EVERY | play joins SECONDS EACH_SECOND");
        std::process::exit(2);
    };
    if arguments[0] == "joins" {
        std::process::exit(i32::from(!joins(Duration::from_secs(first), second as usize)));
    }
    let start = clock::now();
    let (runs, failed) = if arguments[0] == "soak" {
        play(second as usize, |index| {
            let seed = first + index as u64;
            (format!("make soak SEED={seed} SEEDS=1"), move || soak::run(seed))
        })
    } else {
        let cells = grid::cells();
        let chosen: Vec<usize> = (0..cells.len()).step_by(second.max(1) as usize).collect();
        play(chosen.len() * first as usize, |index| {
            let (number, seed) = (chosen[index / first as usize], index as u64 % first);
            let cell = cells[number];
            (format!("cell {number} with seed {seed}: {cell:?}"), move || grid::run(cell, seed))
        })
    };
    println!("{runs} runs, {failed} failed, {:.1} s", clock::now().abs_diff(start).as_secs_f64());
    std::process::exit(i32::from(failed > 0));
}

/// Says what joins leave behind, from five minutes on; whether that is less than a hundredth.
fn joins(time: Duration, each_second: usize) -> bool {
    let bytes = crowd::joins(time, each_second, ServerConfig::default());
    let (Some(settled), Some(end)) = (bytes.get(9), bytes.last()) else {
        eprintln!("joins have to go on for more than five minutes");
        return false;
    };
    let growth = *end as f64 / *settled as f64 - 1.0;
    let count = time.as_secs() * each_second as u64;
    println!("{count} joins: {settled} bytes after five minutes, {end} in the end, {:+.2} %", 100.0 * growth);
    growth < 0.01
}

/// Runs them on all processors; says which failed and how to run them again.
fn play<F: FnOnce() + std::panic::UnwindSafe>(
    count: usize,
    run: impl Fn(usize) -> (String, F) + Sync,
) -> (usize, usize) {
    let (next, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= count {
                        return;
                    }
                    let (name, action) = run(index);
                    if catch_unwind(action).is_err() {
                        failed.fetch_add(1, Ordering::Relaxed);
                        println!("FAILED: {name}");
                    }
                }
            });
        }
    });
    (count, failed.into_inner())
}
