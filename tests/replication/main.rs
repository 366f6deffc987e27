//! Whole servers and clients of ours on a simulated network: large states, bursts, outages, restarts.

mod joining;
mod sessions;
mod world;
