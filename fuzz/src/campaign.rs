//! Running bodies on corpora and on seeded inputs; what fails says how to run it again.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use crate::Body;

/// A number from the environment.
pub fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |value| value.parse().expect("a number"))
}

/// Runs a body on the inputs of the seeds from `first` on, `count` of them.
///
/// # Panics
/// With the seed, when the body does.
pub fn seeded(body: &Body, first: u64, count: u64) {
    for seed in first..first + count {
        let bytes = (body.sample)(&mut fastrand::Rng::with_seed(seed));
        let holds = catch_unwind(AssertUnwindSafe(|| (body.run)(&bytes))).is_ok();
        assert!(holds, "{} fails: make fuzz-seed BODY={0} SEED={seed}", body.name);
    }
}

/// The bodies that files of a corpus are for, and the folder it is in.
pub const CORPORA: &[(&str, &[Body])] =
    &[("decoders", crate::decoders::ALL), ("scripts", crate::scripts::ALL)];

/// Runs bytes as libFuzzer's targets do: the first byte chooses the body.
pub fn run_chosen(all: &[Body], bytes: &[u8]) {
    if let Some((choice, bytes)) = bytes.split_first() {
        (all[usize::from(*choice) % all.len()].run)(bytes);
    }
}

/// Runs the files of a corpus; gives how many there are.
///
/// # Panics
/// With the file, when its body does.
pub fn replay(folder: &str, all: &[Body]) -> usize {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(folder);
    let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut count = 0;
    for file in files {
        let file = file.expect("a file").path();
        let bytes = fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let holds = catch_unwind(AssertUnwindSafe(|| run_chosen(all, &bytes))).is_ok();
        assert!(holds, "{} fails", file.display());
        count += 1;
    }
    count
}
