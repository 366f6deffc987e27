//! One replicated tree, the views of it that a server keeps, and the replica of it that a client keeps.
//!
//! Sans-IO: no socket, no clock, no thread, no Python; it knows [`crate::wire`] alone. Time comes in as an
//! argument, updates go in and out as msgpack bytes.
//!
//! - [`Tree`]: the state as leaves with revisions, in the order they were last written.
//! - [`Store`]: the tree a server shares with its views, its time order, and the encodings they have in common.
//! - [`View`]: what a server knows of one client's copy, and which update that client is to be sent next.
//! - [`Replica`]: a client's copy, and what changed in it since the game last looked.

mod delta;
mod merge;
mod nodeset;
mod replica;
mod store;
mod tree;
mod view;

pub use merge::{Merged, TooLarge};
pub use replica::{Pulled, Replica};
pub use store::Store;
pub use tree::{Revision, Tree};
pub use view::{PeerKind, View};

use crate::wire::{HEADER_SIZE, limits::MAX_DATAGRAM};

/// The largest update a server package can carry, in bytes: what header and length leave of the datagram.
pub const MAX_UPDATE: usize = MAX_DATAGRAM - HEADER_SIZE - 2;
