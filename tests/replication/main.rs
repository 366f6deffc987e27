//! Whole servers and clients of ours on a simulated network: large states, bursts, outages, restarts.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test that panics has failed")]

mod joining;
mod sessions;
mod world;
