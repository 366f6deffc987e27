//! Every machine on whatever libFuzzer makes up.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| pygase_fuzz::campaign::run_chosen(
    pygase_fuzz::scripts::ALL,
    bytes
));
