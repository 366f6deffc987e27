//! Counters of a server that belong to no connection: what strangers sent, what limits dropped. Gauges: how it stands.

crate::counters::counters! {
    /// What an endpoint has seen so far.
    Counters {
        /// Datagrams that came in.
        datagrams: traffic,
        /// Dropped because they were no packages (from known and unknown addresses).
        malformed: dropped,
        /// Dropped because nobody can be answered at port 0.
        unanswerable: dropped,
        /// Packages from addresses that have not proven themselves.
        unproven: traffic,
        /// Answers sent to such addresses.
        answers: traffic,
        /// Bytes that came from such addresses.
        unproven_bytes_in: traffic,
        /// Bytes sent to such addresses; at most three times what came.
        unproven_bytes_out: traffic,
        /// Unproven entries that made room for another address.
        evicted: dropped,
        /// Acknowledgements of numbers never sent, from unproven addresses.
        wrong_acks: dropped,
        /// Packages dropped from unproven addresses that acknowledged too many numbers never sent.
        silenced: dropped,
        /// Dropped because a limit was reached.
        over_limit: dropped,
        /// Addresses that proved themselves and were not taken, because their source had enough connections or made them
        /// too fast.
        over_source: dropped,
        /// Packages of connections that sent more than their rate of packages or event bytes.
        over_rate: dropped,
        /// Packages from proven addresses that cannot belong to their session.
        implausible: dropped,
        /// Datagrams from addresses that are banned or were kicked lately.
        banned: dropped,
        /// Bans and kicks that were refused because there are enough.
        bans_refused: dropped,
        /// Addresses that have proven themselves.
        proven: traffic,
        /// Sessions that a client of ours took to another address.
        moved: traffic,
        /// Tokens of no session, from clients of ours that had one with a server before, or guessed.
        wrong_tokens: dropped,
        /// `shutdown` requests without permission, and `shut_me_down`.
        shutdown_refused: dropped,
    }
}

/// How an endpoint stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Clients that have proven themselves and are not forgotten.
    pub connections: usize,
    /// Addresses that have not proven themselves.
    pub unproven_entries: usize,
    /// Bytes it takes to know them.
    pub unproven_memory: usize,
    /// Hosts and addresses that are banned.
    pub bans: usize,
}

impl Gauges {
    /// Every gauge under the name users know it by.
    pub fn entries(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
        [
            ("connections", self.connections as u64),
            ("unproven_entries", self.unproven_entries as u64),
            ("unproven_memory", self.unproven_memory as u64),
            ("bans", self.bans as u64),
        ]
        .into_iter()
    }
}
