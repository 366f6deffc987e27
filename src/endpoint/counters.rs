//! Counters of a server that belong to no connection: what strangers sent, what limits dropped. Gauges: how it stands.

/// What an endpoint has seen so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Datagrams that came in.
    pub datagrams: u64,
    /// Dropped because they were no packages (from known and unknown addresses).
    pub malformed: u64,
    /// Dropped because nobody can be answered at port 0.
    pub unanswerable: u64,
    /// Packages from addresses that have not proven themselves.
    pub unproven: u64,
    /// Answers sent to such addresses.
    pub answers: u64,
    /// Bytes that came from such addresses.
    pub unproven_bytes_in: u64,
    /// Bytes sent to such addresses; at most three times what came.
    pub unproven_bytes_out: u64,
    /// Unproven entries that made room for another address.
    pub evicted: u64,
    /// Acknowledgements of numbers never sent, from unproven addresses.
    pub wrong_acks: u64,
    /// Packages dropped from unproven addresses that acknowledged too many numbers never sent.
    pub silenced: u64,
    /// Dropped because a limit was reached.
    pub over_limit: u64,
    /// Addresses that proved themselves and were not taken, because their source had enough connections or made them
    /// too fast.
    pub over_source: u64,
    /// Packages of connections that sent more than their rate of packages or event bytes.
    pub over_rate: u64,
    /// Packages from proven addresses that cannot belong to their session.
    pub implausible: u64,
    /// Datagrams from addresses that are banned or were kicked lately.
    pub banned: u64,
    /// Addresses that have proven themselves.
    pub proven: u64,
    /// Sessions that a client of ours took to another address.
    pub moved: u64,
    /// Tokens of no session, from clients of ours that had one with a server before, or guessed.
    pub wrong_tokens: u64,
    /// `shutdown` requests without permission, and `shut_me_down`.
    pub shutdown_refused: u64,
}

impl Counters {
    /// Every counter under the name users know it by.
    pub fn entries(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
        [
            ("datagrams", self.datagrams),
            ("malformed", self.malformed),
            ("unanswerable", self.unanswerable),
            ("unproven", self.unproven),
            ("answers", self.answers),
            ("unproven_bytes_in", self.unproven_bytes_in),
            ("unproven_bytes_out", self.unproven_bytes_out),
            ("evicted", self.evicted),
            ("wrong_acks", self.wrong_acks),
            ("silenced", self.silenced),
            ("over_limit", self.over_limit),
            ("over_source", self.over_source),
            ("over_rate", self.over_rate),
            ("implausible", self.implausible),
            ("banned", self.banned),
            ("proven", self.proven),
            ("moved", self.moved),
            ("wrong_tokens", self.wrong_tokens),
            ("shutdown_refused", self.shutdown_refused),
        ]
        .into_iter()
    }
}

impl Counters {
    /// What was dropped that no connection counts.
    pub fn troubles(&self) -> [(&'static str, u64); 8] {
        [
            ("malformed", self.malformed),
            ("evicted", self.evicted),
            ("wrong_acks", self.wrong_acks),
            ("over_limit", self.over_limit),
            ("over_source", self.over_source),
            ("implausible", self.implausible),
            ("wrong_tokens", self.wrong_tokens),
            ("shutdown_refused", self.shutdown_refused),
        ]
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
