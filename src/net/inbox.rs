//! What happened, on its way from the threads of the core to the one that runs handlers.
//!
//! Owns a queue and the ways to wait for it: a condition for threads and, on Linux, an eventfd for event loops. Must
//! not hold its lock over a call to the system.
//!
//! The queue is bounded however long nobody takes from it: of each client at most one notice of a kind waits, a server
//! takes no more clients than it may have together with those whose end waits here ([`Inbox::ends`]), and of records
//! there are at most `MAX_RECORDS`.

mod notice;
mod queue;
#[cfg(all(target_os = "linux", not(feature = "portable-io")))]
#[path = "inbox/eventfd.rs"]
mod signal;
#[cfg(not(all(target_os = "linux", not(feature = "portable-io"))))]
#[path = "inbox/silent.rs"]
mod signal;

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use super::clock;
use super::log::{self, Record};
use super::recorder::Recorder;
pub use notice::{ClientNotice, Notice};
use queue::Queue;
use signal::Signal;

/// The queue of one server or client. Any thread may put in, one takes out.
#[derive(Debug, Default)]
pub struct Inbox {
    /// How far below [`log::SILENT`] the records reach that are wanted.
    verbosity: AtomicU8,
    recorder: OnceLock<Arc<Recorder>>,
    queue: Mutex<Queue>,
    filled: Condvar,
    signal: Signal,
}

impl Inbox {
    /// An empty one. Without an eventfd where the system gives none.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts in one notice. After [`Inbox::close`] it is dropped.
    pub fn push(&self, notice: Notice) {
        self.put(|queue| queue.push(notice));
    }

    /// From which level on records for the log are wanted; none are before this is called.
    pub fn set_level(&self, level: u8) {
        self.verbosity.store(log::SILENT - level, Ordering::Relaxed);
    }

    /// Whether records of `level` are wanted: to be asked before one is made.
    pub fn wants(&self, level: u8) -> bool {
        log::SILENT - level <= self.verbosity.load(Ordering::Relaxed)
    }

    /// Has every package recorded from now on; only the first recorder does.
    pub fn set_recorder(&self, recorder: Arc<Recorder>) {
        let _ = self.recorder.set(recorder);
    }

    /// Where packages are to be recorded.
    pub fn recorder(&self) -> Option<&Recorder> {
        self.recorder.get().map(Arc::as_ref)
    }

    /// Puts in a record for the log, unless too many wait.
    pub fn log(&self, record: Record) {
        self.put(|queue| queue.push_record(Notice::Log(record)));
    }

    /// Puts in what a panic said, unless too many records wait.
    pub fn report(&self, panic: String) {
        self.put(|queue| queue.push_record(Notice::Failed(panic)));
    }

    /// Puts in all of `notices`, waking the other side once.
    pub fn append(&self, notices: &mut Vec<Notice>) {
        if !notices.is_empty() {
            self.put(|queue| notices.drain(..).for_each(|notice| queue.push(notice)));
        }
    }

    fn put(&self, fill: impl FnOnce(&mut Queue)) {
        let mut queue = self.lock();
        if queue.is_closed {
            return;
        }
        let was_empty = queue.notices.is_empty();
        fill(&mut queue);
        drop(queue);
        // Somebody who was woken for what is in it already will find this too.
        if was_empty {
            self.filled.notify_all();
            self.signal.raise();
        }
    }

    /// Lets whoever waits come back without a notice, now or the next time; taking puts an end to that.
    pub fn wake(&self) {
        if !std::mem::replace(&mut self.lock().is_woken, true) {
            self.filled.notify_all();
            self.signal.raise();
        }
    }

    /// Waits until there is something to take or a [`Inbox::wake`], at most for `timeout`: whether there is.
    /// False at once when the inbox is closed and empty.
    pub fn wait(&self, timeout: Option<Duration>) -> bool {
        let give_up = timeout.map(|timeout| clock::now().saturating_add(timeout));
        let mut queue = self.lock();
        while queue.notices.is_empty() && !queue.is_woken && !queue.is_closed {
            queue = match give_up {
                None => self.filled.wait(queue).unwrap_or_else(PoisonError::into_inner),
                Some(give_up) => {
                    let left = give_up.saturating_sub(clock::now());
                    if left.is_zero() {
                        return false;
                    }
                    self.filled.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        queue.is_woken || !queue.notices.is_empty()
    }

    /// Moves everything there is to the end of `into`.
    pub fn drain(&self, into: &mut Vec<Notice>) {
        // Before the queue is emptied: what is put in from here on raises it again, or is taken now.
        self.signal.lower();
        self.lock().drain(into);
    }

    /// Moves what makes clients known to the end of `into`; all else stays.
    pub fn drain_arrivals(&self, into: &mut Vec<Notice>) {
        let arrivals = self.lock().take_arrivals();
        into.extend(arrivals);
    }

    /// Whether something waits that makes a client known.
    pub fn has_arrivals(&self) -> bool {
        self.lock().arrivals > 0
    }

    /// How many clients wait to be known as gone.
    pub fn ends(&self) -> usize {
        self.lock().ends
    }

    /// How many notices wait to be taken.
    pub fn len(&self) -> usize {
        self.lock().notices.len()
    }

    /// Whether there is nothing to take.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Nothing more is taken in; whoever waits comes back. What is in it can still be taken.
    pub fn close(&self) {
        self.lock().is_closed = true;
        self.filled.notify_all();
        self.signal.raise();
    }

    /// Whether it was closed.
    pub fn is_closed(&self) -> bool {
        self.lock().is_closed
    }

    /// A file descriptor that is readable while there is something to take, for event loops; None where the platform
    /// has none (and with the feature `portable-io`): a thread has to wait there. It belongs to the inbox.
    pub fn as_raw_fd(&self) -> Option<i32> {
        self.signal.as_raw_fd()
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[path = "inbox/tests.rs"]
mod tests;
