//! A body for each machine: any sequence of datagrams, losses, copies and moments.
//!
//! | body | drives | what must hold |
//! |---|---|---|
//! | `connection` | two connections and an honest line between them | exactly one true outcome for each event, none twice |
//! | `session` | a server, clients of ours, honest lines, and liars beside them | the same; nothing from liars has an effect |
//! | `server` | a server and liars with any address | at most three bytes for one before the proof, bounded memory |
//! | `client` | a client whose server lies | bounded memory, no more packages than the interval allows |

mod ledger;
mod line;
mod session;
mod single;

use crate::Body;

/// All of them.
pub const ALL: &[Body] = &[
    Body { name: "connection", run: single::connection, sample },
    Body { name: "session", run: session::session, sample },
    Body { name: "server", run: session::server, sample },
    Body { name: "client", run: single::client, sample },
];

/// Choices for up to some hundred steps.
fn sample(random: &mut fastrand::Rng) -> Vec<u8> {
    let mut choices = vec![0; random.usize(..2048)];
    random.fill(&mut choices);
    choices
}

/// A setting that takes nothing of the choices.
fn prompt_events(number: usize) -> Option<bool> {
    [None, Some(true), Some(false)][number % 3]
}
