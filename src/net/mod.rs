//! Sockets, threads and the clock: the driver of the machines in [`crate::endpoint`].
//!
//! Owns every socket, every thread of the core and the only clock. Knows no Python and decides nothing about the
//! protocol: datagrams and the time go into the machines, what comes out is sent or put into an [`Inbox`] for whoever
//! runs handlers. Nothing from the network ends a loop here; what fails is counted.
//!
//! Calls that wait for a loop block their thread. They may be made in a task of a tokio runtime, and hold that up
//! meanwhile.
//!
//! | module | owns |
//! |---|---|
//! | [`addresses`] | the addresses of this machine |
//! | [`announce`] | servers that are found in the local network |
//! | [`client`] | the one background thread of all clients, a task for each |
//! | [`clock`] | the time |
//! | `commands` | asking something of a loop |
//! | `driver` | what the loops of servers and clients share |
//! | [`error`] | what can go wrong at the caller |
//! | [`fork`] | the moment of a fork, for which the threads stand still |
//! | [`inbox`] | what happened, on its way to the thread that runs handlers |
//! | [`mod@line`] | a bad line between a socket and the network |
//! | [`load`] | many clients at once, to see what a server holds |
//! | [`log`] | what goes into the log of whoever runs handlers |
//! | [`recorder`] | a recording that is being made, and its file |
//! | [`relay`] | a bad line between clients and a server |
//! | [`server`] | the thread of a server |
//! | [`timer`] | the game loop's ticks |
//! | [`udp`] | sockets, in batches where the platform has them |
//! | `worker` | a thread that is told to stop and says how far it is |

pub mod addresses;
pub mod announce;
pub mod client;
pub mod clock;
mod commands;
mod driver;
pub mod error;
#[cfg(test)]
mod faults;
pub mod fork;
pub mod inbox;
pub mod line;
pub mod load;
pub mod log;
pub mod recorder;
pub mod relay;
pub mod server;
pub mod timer;
pub mod udp;
mod worker;

pub use addresses::local_addresses;
pub use announce::{Announcer, Finder, Found};
pub use client::UdpClient;
pub use error::NetError;
pub use inbox::{ClientNotice, Inbox, Notice};
pub use line::Line;
pub use load::{Ages, Load, LoadOptions, LoadReport, StateClock};
pub use recorder::{Recorder, RecorderStats};
pub use relay::{LineReport, Passage, Relay, RelayReport};
pub use server::{ServerStats, UdpServer};
pub use timer::{Tick, TickTimer};
pub use udp::SocketStats;
