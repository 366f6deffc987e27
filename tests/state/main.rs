//! The replicated state against plain dictionaries: what clients end up with, and which bytes get them there.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test that panics has failed")]

#[path = "../common/mod.rs"]
mod common;
mod cost;
mod deletions;
mod labels;
mod merging;
mod model;
mod network;
mod server;
mod traces;
mod whole;
