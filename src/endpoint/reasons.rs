//! Why sessions end, in the words that go over the wire; `Reason` in Python has them, too.

/// The server ends, and may be back soon.
pub(super) const SHUT_DOWN: &str = "shutdown";
/// The server has as many clients as it takes.
pub(super) const FULL: &str = "server full";
/// Another client, or the same one started anew, speaks from the address.
pub(super) const REPLACED: &str = "replaced";
