//! What waits, and what need not wait twice.

use std::collections::{HashSet, VecDeque};

use super::super::log::{self, Record};
use super::{ClientNotice, Notice};
use crate::endpoint::ServerEvent;

/// How many records for the log and reports of panics may wait; what comes on top is only counted.
pub(super) const MAX_RECORDS: usize = 4096;

/// The tag of no peer.
const NOBODY: u64 = 0;

#[derive(Debug, Default)]
pub(super) struct Queue {
    pub(super) notices: VecDeque<Notice>,
    /// Whether a `ClientNotice::Ready` is in `notices`.
    is_ready: bool,
    /// Of which peers a `ServerEvent::Moved` is in `notices`: whoever takes it looks at where the peer is then. And
    /// [`NOBODY`] for a `ServerEvent::ShutdownRequested`.
    said: HashSet<u64>,
    /// How many in `notices` make a client known, and how many say that one is gone.
    pub(super) arrivals: usize,
    pub(super) ends: usize,
    /// Whether somebody asked to be noticed without having anything to say.
    pub(super) is_woken: bool,
    pub(super) is_closed: bool,
    /// Records in `notices`.
    records: usize,
    /// Records that found no room.
    records_lost: usize,
}

impl Queue {
    pub(super) fn push(&mut self, notice: Notice) {
        let is_said = match &notice {
            Notice::Client(ClientNotice::Ready) => std::mem::replace(&mut self.is_ready, true),
            Notice::Server(ServerEvent::Moved(peer, _)) => !self.said.insert(peer.tag),
            Notice::Server(ServerEvent::ShutdownRequested) => !self.said.insert(NOBODY),
            _ => false,
        };
        if is_said {
            return;
        }
        self.arrivals += usize::from(notice.is_arrival());
        self.ends += usize::from(matches!(notice, Notice::Server(ServerEvent::Removed(_))));
        self.notices.push_back(notice);
    }

    pub(super) fn push_record(&mut self, record: Notice) {
        if self.records < MAX_RECORDS {
            self.records += 1;
            self.notices.push_back(record);
        } else {
            self.records_lost += 1;
        }
    }

    /// Moves everything there is to the end of `into`, at last how many records found no room.
    pub(super) fn drain(&mut self, into: &mut Vec<Notice>) {
        self.is_ready = false;
        self.is_woken = false;
        self.said.clear();
        (self.arrivals, self.ends, self.records) = (0, 0, 0);
        into.extend(self.notices.drain(..));
        let lost = std::mem::take(&mut self.records_lost);
        if lost > 0 {
            let text = format!("{lost} log records were dropped: too many waited");
            into.push(Notice::Log(Record { level: log::WARNING, text }));
        }
    }

    /// Takes out what makes clients known.
    pub(super) fn take_arrivals(&mut self) -> VecDeque<Notice> {
        if std::mem::take(&mut self.arrivals) == 0 {
            return VecDeque::new();
        }
        self.said.retain(|tag| *tag == NOBODY);
        let (arrivals, others) = std::mem::take(&mut self.notices).into_iter().partition(Notice::is_arrival);
        self.notices = others;
        arrivals
    }
}
