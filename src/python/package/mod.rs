//! `Header` and the three packages as Python sees them.
//!
//! They hold Python objects (events, an update) and put together what those give as bytes; layouts and
//! checks are the wire layer's.

mod construct;
mod header;
mod packages;

pub(crate) use construct::shorten_calls;
pub(crate) use header::Header;
pub(crate) use packages::{ClientPackage, Package, ServerPackage, build, max_size};
