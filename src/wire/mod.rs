//! Bytes and nothing that lives: headers, package layouts, sequence arithmetic, msgpack, limits.
//!
//! Decoding takes bytes nobody vouches for. It never panics, never recurses without a bound and never
//! allocates by a length that a datagram merely claims.

mod error;
mod header;
pub mod limits;
pub mod msgpack;
mod number;
mod package;
mod sqn;

pub use error::{MsgpackProblem, WireError};
pub use header::{HEADER_SIZE, Header, PROTOCOL_ID};
pub use number::EventNumber;
pub use package::{Body, Events, Kind, Package, PackageWriter};
pub use sqn::{Sqn, arithmetic};
