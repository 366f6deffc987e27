//! What proves that nothing from the network stops it.
//!
//! | module | owns |
//! |---|---|
//! | [`allocation`] | what the code under test allocates |
//! | [`input`] | choices made by bytes, so that whoever makes the bytes makes the choices |
//! | [`generate`] | valid values, events, updates and packages, and how to damage them |
//! | [`decoders`] | a body for each decoder: any bytes |
//! | [`scripts`] | a body for each machine: any sequence of datagrams, losses and moments |
//! | [`crowd`] | a server with many clients, and what they take of its memory |
//! | [`simulation`] | games on a simulated network, ours and models of the original |
//! | [`campaign`] | running bodies on corpora and on seeded inputs |
//!
//! A body is a plain function of bytes that panics when something does not hold. `cargo test` runs them on the
//! corpus and on seeded inputs, `cargo fuzz` on what libFuzzer makes up.

pub mod allocation;
pub mod campaign;
pub mod crowd;
pub mod decoders;
pub mod generate;
pub mod input;
pub mod scripts;
pub mod simulation;

/// A fuzz body: its name, what it does with bytes, and what makes bytes worth trying from a seed.
pub struct Body {
    /// Its name, and that of its folder in the corpus.
    pub name: &'static str,
    /// Panics when something does not hold for these bytes.
    pub run: fn(&[u8]),
    /// Bytes worth trying.
    pub sample: fn(&mut fastrand::Rng) -> Vec<u8>,
}

/// The body of this name.
pub fn body(name: &str) -> &'static Body {
    let mut all = decoders::ALL.iter().chain(scripts::ALL);
    all.find(|body| body.name == name).unwrap_or_else(|| panic!("no body is called {name}"))
}
