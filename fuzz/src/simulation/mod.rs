//! Games on a simulated network and a simulated clock: ours with ours, and ours with models of the original.
//!
//! A run is a function of its seed: what fails can be run again.

pub mod age;
pub mod grid;
mod original;
pub mod soak;
mod state;
mod world;
