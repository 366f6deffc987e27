//! Whole servers and clients of ours on a simulated network: large states, bursts, outages, restarts.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test that panics has failed")]

mod joining;
mod sessions;
#[path = "../../fuzz/src/simulation/state.rs"]
#[allow(dead_code, reason = "the simulation there needs more of it")]
mod state;
mod world;
