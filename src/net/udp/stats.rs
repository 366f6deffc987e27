//! What a socket went through, in numbers.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::counters::counters;

macro_rules! stats {
    ($($(#[$doc:meta])* $name:ident: $kind:ident,)*) => {
        /// What a socket went through, counted by its thread and read by anyone.
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(in crate::net) $name: AtomicU64,)*
        }

        counters! {
            /// What a socket went through: totals since it was made.
            SocketStats { $($(#[$doc])* $name: $kind,)* }
        }

        impl Counters {
            /// The totals now.
            pub(crate) fn snapshot(&self) -> SocketStats {
                SocketStats { $($name: self.$name.load(Ordering::Relaxed),)* }
            }
        }
    };
}

stats! {
    /// Datagrams that arrived, those too long not counted.
    datagrams_received: traffic,
    /// Their bytes.
    bytes_received: traffic,
    /// Datagrams that arrived and were longer than a package may be: dropped.
    oversize: dropped,
    /// Datagrams handed to the system.
    datagrams_sent: traffic,
    /// Their bytes.
    bytes_sent: traffic,
    /// Datagrams dropped because the send buffer was full.
    send_buffer_full: dropped,
    /// Datagrams the system would not send for another reason (no route, no such address, too long for the path).
    send_failed: dropped,
    /// Times the other side said that nothing listens there.
    refused: dropped,
    /// Times a client needed a new port and got none.
    connect_failed: dropped,
    /// Times receiving failed for another reason.
    receive_failed: dropped,
    /// Datagrams that the conditions asked for dropped, either way.
    line_dropped: traffic,
    /// Datagrams that they let arrive twice.
    line_duplicated: traffic,
    /// Panics caught in the loop that drives this socket.
    panics: dropped,
}

/// Adds to a total. One thread writes, so this need not be exact against others.
pub(in crate::net) fn add(counter: &AtomicU64, amount: u64) {
    counter.fetch_add(amount, Ordering::Relaxed);
}
