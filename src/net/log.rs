//! What a loop tells the log of whoever runs it: packages, and what was lost or dropped.
//!
//! Records are lines for a log that somebody else keeps, and travel through the [`Inbox`]. Nothing is written down here
//! unless the inbox says that it is wanted, and what goes wrong again and again is summed up.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::inbox::Inbox;
use crate::wire::Header;

/// Level of records about single packages, as Python's `logging` counts.
pub const DEBUG: u8 = 10;
/// Level of records about what was lost or dropped.
pub const WARNING: u8 = 30;
/// A level above all: nothing is wanted.
pub const SILENT: u8 = u8::MAX;

/// How often to look for something to warn of.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// The least time between two warnings.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// A line for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// How much it matters, as Python's `logging` counts.
    pub level: u8,
    /// What to say.
    pub text: String,
}

/// What one peer, or a server as a whole, lost or had dropped: totals by name.
#[derive(Clone, Debug)]
pub(super) struct Troubles {
    /// `None` for a server as a whole.
    pub(super) peer: Option<SocketAddr>,
    pub(super) totals: Vec<(&'static str, u64)>,
}

/// What a loop has to say.
#[derive(Debug)]
pub(super) struct Log {
    inbox: Arc<Inbox>,
    next_look: Duration,
    next_report: Duration,
    /// What was there at the last report.
    reported: HashMap<Option<SocketAddr>, Vec<u64>>,
}

impl Log {
    pub(super) fn new(inbox: Arc<Inbox>) -> Self {
        Self { inbox, next_look: Duration::ZERO, next_report: Duration::ZERO, reported: HashMap::new() }
    }

    /// Whether single packages are wanted.
    pub(super) fn wants_packages(&self) -> bool {
        self.inbox.wants(DEBUG)
    }

    /// Tells of one datagram; `what` is "received from" or "sent to".
    pub(super) fn package(&self, what: &str, peer: SocketAddr, datagram: &[u8]) {
        let size = datagram.len();
        let text = match Header::decode(datagram) {
            Ok((Header { sequence, ack, .. }, _)) => {
                let (sequence, ack) = (sequence.value(), ack.value());
                format!("package {sequence} {what} {peer}: {size} bytes, acknowledges {ack}")
            }
            Err(_) => format!("datagram {what} {peer}: {size} bytes"),
        };
        self.inbox.log(Record { level: DEBUG, text });
    }

    /// Passes over what happened so far, because it was to be expected.
    pub(super) fn pass_over(&mut self, Troubles { peer, totals }: &Troubles) {
        self.reported.insert(*peer, totals.iter().map(|(_, total)| *total).collect());
    }

    /// Warns of what was lost or dropped since the last time, once in a while.
    pub(super) fn look(&mut self, now: Duration, troubles: impl FnOnce() -> Vec<Troubles>) {
        if now < self.next_look {
            return;
        }
        self.next_look = now + LOOK_INTERVAL;
        if now < self.next_report || !self.inbox.wants(WARNING) {
            return;
        }
        let mut reported = HashMap::new();
        let (mut sums, mut peers) = (Vec::new(), 0);
        let mut text = String::new();
        for Troubles { peer, totals } in troubles() {
            let before = self.reported.remove(&peer).unwrap_or_default();
            reported.insert(peer, totals.iter().map(|(_, total)| *total).collect());
            // Fewer than before: somebody new under the same address.
            let mut fresh = totals;
            for (count, before) in fresh.iter_mut().zip(before) {
                count.1 = count.1.checked_sub(before).unwrap_or(count.1);
            }
            if fresh.iter().all(|(_, count)| *count == 0) {
                continue;
            }
            match peer {
                None => {
                    let _ = write!(text, "; at the server in all: {}", listed(&fresh));
                }
                Some(peer) => {
                    peers += 1;
                    if peers == 1 {
                        let _ = write!(text, "; with {peer}: {}", listed(&fresh));
                    }
                    sums.resize(fresh.len(), ("", 0));
                    for (sum, (name, count)) in sums.iter_mut().zip(fresh) {
                        *sum = (name, sum.1 + count);
                    }
                }
            }
        }
        self.reported = reported;
        if peers > 1 {
            let _ = write!(text, "; with {peers} peers in all: {}", listed(&sums));
        }
        if !text.is_empty() {
            self.next_report = now + REPORT_INTERVAL;
            let text = format!("packages lost or dropped{text}");
            self.inbox.log(Record { level: WARNING, text });
        }
    }
}

fn listed(counts: &[(&str, u64)]) -> String {
    let parts = counts.iter().filter(|(_, count)| *count > 0);
    let parts: Vec<_> = parts
        .map(|(name, count)| format!("{count} {}", if *name == "lost" { "timed out" } else { name }))
        .collect();
    parts.join(", ").replace('_', " ")
}

#[cfg(test)]
mod tests {
    use super::super::Notice;
    use super::*;

    const PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 7);

    fn lost(count: u64) -> Vec<Troubles> {
        let totals = vec![("lost", count), ("late", 0), ("queue_full", count / 2)];
        vec![Troubles { peer: Some(PEER), totals }]
    }

    fn said(inbox: &Inbox) -> Vec<String> {
        let mut notices = Vec::new();
        inbox.drain(&mut notices);
        let texts = notices.into_iter().map(|notice| match notice {
            Notice::Log(record) => record.text,
            other => panic!("{other:?}"),
        });
        texts.collect()
    }

    #[test]
    fn nothing_is_looked_at_until_it_is_wanted() {
        let inbox = Arc::new(Inbox::new());
        let mut log = Log::new(Arc::clone(&inbox));
        assert!(!log.wants_packages());
        log.look(Duration::ZERO, || panic!("not wanted"));
        inbox.set_level(WARNING);
        assert!(!log.wants_packages());
        inbox.set_level(DEBUG);
        assert!(log.wants_packages());
    }

    #[test]
    fn what_happens_again_and_again_is_summed_up() {
        let inbox = Arc::new(Inbox::new());
        inbox.set_level(WARNING);
        let mut log = Log::new(Arc::clone(&inbox));
        let second = Duration::from_secs(1);
        log.look(second, || lost(0));
        assert!(said(&inbox).is_empty());
        log.look(second * 2, || lost(3));
        assert_eq!(said(&inbox), ["packages lost or dropped; with 127.0.0.1:7: 3 timed out, 1 queue full"]);
        for at in 3..12 {
            log.look(second * at, || panic!("too soon"));
        }
        log.look(second * 12, || lost(5));
        assert_eq!(said(&inbox), ["packages lost or dropped; with 127.0.0.1:7: 2 timed out, 1 queue full"]);
        log.look(second * 23, || lost(5));
        assert!(said(&inbox).is_empty());
    }
}
