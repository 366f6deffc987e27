//! What there is to say to whoever runs handlers.

use super::super::log::Record;
use crate::endpoint::ServerEvent;

/// Something that happened.
#[derive(Debug)]
pub enum Notice {
    /// To a server's peers.
    Server(ServerEvent),
    /// To a client.
    Client(ClientNotice),
    /// A thread of a server has ended: its socket is closed, and nothing of it comes after this.
    Stopped,
    /// A defect of the core: a panic was caught, with this message. The loop goes on.
    Failed(String),
    /// A line for the log.
    Log(Record),
}

impl Notice {
    /// Whether it makes a client of a server known, under its address.
    pub(super) fn is_arrival(&self) -> bool {
        use ServerEvent::{Connected, Host, Moved};
        matches!(self, Self::Server(Connected(_) | Moved(..) | Host(_)))
    }
}

/// Something that happened to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientNotice {
    /// The connection's queue has something. At most one of these waits.
    Ready,
    /// No answer so far; said once.
    Unanswered,
    /// The connection has ended: its socket is closed, and nothing comes after this.
    Closed,
}
