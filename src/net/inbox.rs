//! What happened, on its way from the threads of the core to the one that runs handlers.
//!
//! Owns a queue and the ways to wait for it: a condition for threads and, on Linux, an eventfd for event loops. Must
//! not hold its lock over a call to the system.
//!
//! The queue is bounded however long nobody takes from it: of each client at most one notice of a kind waits, a server
//! takes no more clients than it may have together with those whose end waits here ([`Inbox::ends`]), and of records
//! there are at most `MAX_RECORDS`.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use super::clock;
use super::log::{self, Record};
use super::recorder::Recorder;
use crate::endpoint::ServerEvent;

/// How many records for the log and reports of panics may wait; what comes on top is only counted.
const MAX_RECORDS: usize = 4096;

/// The tag of no peer.
const NOBODY: u64 = 0;

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
    fn is_arrival(&self) -> bool {
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

#[derive(Debug, Default)]
struct Queue {
    notices: VecDeque<Notice>,
    /// Whether a `ClientNotice::Ready` is in `notices`.
    is_ready: bool,
    /// Of which peers a `ServerEvent::Moved` is in `notices`: whoever takes it looks at where the peer is then. And
    /// [`NOBODY`] for a `ServerEvent::ShutdownRequested`.
    said: HashSet<u64>,
    /// How many in `notices` make a client known, and how many say that one is gone.
    arrivals: usize,
    ends: usize,
    /// Whether somebody asked to be noticed without having anything to say.
    is_woken: bool,
    is_closed: bool,
    /// Records in `notices`.
    records: usize,
    /// Records that found no room.
    records_lost: usize,
}

impl Queue {
    fn push(&mut self, notice: Notice) {
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

    fn push_record(&mut self, record: Notice) {
        if self.records < MAX_RECORDS {
            self.records += 1;
            self.notices.push_back(record);
        } else {
            self.records_lost += 1;
        }
    }
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
        let mut queue = self.lock();
        queue.is_ready = false;
        queue.is_woken = false;
        queue.said.clear();
        (queue.arrivals, queue.ends, queue.records) = (0, 0, 0);
        let lost = std::mem::take(&mut queue.records_lost);
        into.extend(queue.notices.drain(..));
        if lost > 0 {
            let text = format!("{lost} log records were dropped: too many waited");
            into.push(Notice::Log(Record { level: log::WARNING, text }));
        }
    }

    /// Moves what makes clients known to the end of `into`; all else stays.
    pub fn drain_arrivals(&self, into: &mut Vec<Notice>) {
        let mut queue = self.lock();
        if std::mem::take(&mut queue.arrivals) == 0 {
            return;
        }
        queue.said.retain(|tag| *tag == NOBODY);
        let (arrivals, others) = std::mem::take(&mut queue.notices).into_iter().partition(Notice::is_arrival);
        queue.notices = others;
        drop(queue);
        into.extend::<VecDeque<_>>(arrivals);
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

#[cfg(all(target_os = "linux", not(feature = "portable-io")))]
mod signal {
    use std::os::fd::{AsRawFd, OwnedFd};

    use rustix::event::{EventfdFlags, eventfd};

    /// An eventfd: readable from `raise` to `lower`.
    #[derive(Debug)]
    pub(super) struct Signal(pub(super) Option<OwnedFd>);

    impl Default for Signal {
        fn default() -> Self {
            Self(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).ok())
        }
    }

    impl Signal {
        // Neither can fail in a way that matters: a counter that is full is readable, one that is zero is not.
        pub(super) fn raise(&self) {
            let _ = self.0.as_ref().map(|fd| rustix::io::write(fd, &1_u64.to_ne_bytes()));
        }

        pub(super) fn lower(&self) {
            let _ = self.0.as_ref().map(|fd| rustix::io::read(fd, &mut [0; 8]));
        }

        pub(super) fn as_raw_fd(&self) -> Option<i32> {
            self.0.as_ref().map(AsRawFd::as_raw_fd)
        }
    }
}

#[cfg(not(all(target_os = "linux", not(feature = "portable-io"))))]
mod signal {
    /// Nothing an event loop could wait for.
    #[derive(Debug, Default)]
    pub(super) struct Signal;

    #[allow(clippy::unused_self, reason = "the other platform's has something to do")]
    impl Signal {
        pub(super) fn raise(&self) {}

        pub(super) fn lower(&self) {}

        pub(super) fn as_raw_fd(&self) -> Option<i32> {
            None
        }
    }
}

use signal::Signal;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{connection::Config, endpoint::Peer, endpoint::ServerConnection, wire::Sqn};
    use std::sync::Arc;
    use std::thread;

    const READY: Notice = Notice::Client(ClientNotice::Ready);

    fn drain(inbox: &Inbox) -> Vec<Notice> {
        let mut notices = Vec::new();
        inbox.drain(&mut notices);
        notices
    }

    #[test]
    fn what_goes_in_comes_out_in_order() {
        let inbox = Inbox::new();
        assert!(!inbox.wait(Some(Duration::ZERO)));
        inbox.push(Notice::Failed("a".into()));
        inbox.append(&mut vec![Notice::Client(ClientNotice::Unanswered), Notice::Stopped]);
        assert!(inbox.wait(None));
        assert!(matches!(
            drain(&inbox).as_slice(),
            [Notice::Failed(_), Notice::Client(ClientNotice::Unanswered), Notice::Stopped]
        ));
        assert!(!inbox.wait(Some(Duration::from_millis(1))));
    }

    #[test]
    fn ready_waits_at_most_once() {
        let inbox = Inbox::new();
        for _ in 0..3 {
            inbox.push(READY);
        }
        assert_eq!(drain(&inbox).len(), 1);
        inbox.append(&mut vec![READY, Notice::Stopped, READY]);
        assert_eq!(drain(&inbox).len(), 2);
    }

    #[test]
    fn of_a_client_each_kind_of_news_waits_once_and_of_records_a_number() {
        let inbox = Inbox::new();
        let peers: Vec<_> = (1..=3)
            .map(|port| {
                let at = std::net::SocketAddr::from(([10, 0, 0, 1], port));
                Peer::new(at, ServerConnection::new(Config::default(), Sqn::ZERO))
            })
            .collect();
        for _ in 0..10_000 {
            inbox.append(&mut vec![Notice::Server(ServerEvent::ShutdownRequested)]);
            for peer in &peers {
                inbox.push(Notice::Server(ServerEvent::Moved(Arc::clone(peer), peer.address())));
            }
            inbox.report("a defect".into());
            inbox.log(Record { level: log::WARNING, text: String::new() });
        }
        assert_eq!(inbox.len(), 1 + 3 + MAX_RECORDS);
        let told = drain(&inbox);
        let Some(Notice::Log(last)) = told.last() else { panic!("{told:?}") };
        assert_eq!(last.text, "15904 log records were dropped: too many waited");
        inbox.push(Notice::Server(ServerEvent::Moved(Arc::clone(&peers[0]), peers[0].address())));
        assert_eq!(drain(&inbox).len(), 1, "what is taken may come again");
    }

    #[test]
    fn arrivals_can_be_taken_before_all_else_and_ends_are_counted_until_they_are() {
        use ServerEvent::{Connected, Host, Ready, Removed};

        let inbox = Inbox::new();
        let at = std::net::SocketAddr::from(([10, 0, 0, 1], 7));
        let peer = Peer::new(at, ServerConnection::new(Config::default(), Sqn::ZERO));
        let notice = |kind: fn(Arc<Peer>) -> ServerEvent| Notice::Server(kind(Arc::clone(&peer)));
        inbox.append(&mut vec![notice(ServerEvent::Ready), notice(ServerEvent::Connected)]);
        inbox.append(&mut vec![notice(ServerEvent::Removed), notice(|peer| ServerEvent::Host(Some(peer)))]);
        assert!(inbox.has_arrivals());
        let mut arrivals = Vec::new();
        inbox.drain_arrivals(&mut arrivals);
        assert!(matches!(arrivals[..], [Notice::Server(Connected(_)), Notice::Server(Host(Some(_)))]));
        assert!(!inbox.has_arrivals());
        assert_eq!((inbox.len(), inbox.ends()), (2, 1));
        assert!(matches!(drain(&inbox)[..], [Notice::Server(Ready(_)), Notice::Server(Removed(_))]));
        assert_eq!((inbox.len(), inbox.ends()), (0, 0));
    }

    #[test]
    fn a_thread_that_waits_is_woken_and_misses_nothing() {
        let inbox = Arc::new(Inbox::new());
        let sender = thread::spawn({
            let inbox = Arc::clone(&inbox);
            move || {
                for _ in 0..10_000 {
                    inbox.push(Notice::Stopped);
                }
            }
        });
        let mut got = 0;
        while got < 10_000 {
            assert!(inbox.wait(Some(Duration::from_secs(10))));
            got += drain(&inbox).len();
        }
        sender.join().unwrap();
    }

    #[test]
    fn closing_wakes_and_takes_nothing_more() {
        let inbox = Arc::new(Inbox::new());
        inbox.push(Notice::Stopped);
        inbox.close();
        inbox.push(Notice::Stopped);
        assert!(inbox.wait(None));
        assert_eq!(drain(&inbox).len(), 1);
        assert!(inbox.is_closed());
        assert!(!inbox.wait(None), "closed and empty");

        let inbox = Arc::new(Inbox::new());
        let waiting = thread::spawn({
            let inbox = Arc::clone(&inbox);
            move || inbox.wait(None)
        });
        thread::sleep(Duration::from_millis(10));
        inbox.close();
        assert!(!waiting.join().unwrap());
    }

    #[test]
    fn waking_needs_no_notice_and_lasts_until_something_is_taken() {
        let inbox = Inbox::new();
        inbox.wake();
        inbox.wake();
        assert!(inbox.wait(None));
        assert!(inbox.wait(None));
        assert!(drain(&inbox).is_empty());
        assert!(!inbox.wait(Some(Duration::ZERO)));
    }

    #[cfg(all(target_os = "linux", not(feature = "portable-io")))]
    #[test]
    fn the_descriptor_is_readable_while_there_is_something() {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};

        let inbox = Inbox::new();
        assert!(inbox.as_raw_fd().is_some());
        let readable = || {
            let fd = inbox.signal.0.as_ref().unwrap();
            let mut fds = [PollFd::new(fd, PollFlags::IN)];
            poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap() == 1
        };
        assert!(!readable());
        inbox.push(READY);
        inbox.push(Notice::Stopped);
        assert!(readable());
        drain(&inbox);
        assert!(!readable());
        inbox.close();
        assert!(readable());
    }

    #[cfg(not(all(target_os = "linux", not(feature = "portable-io"))))]
    #[test]
    fn there_is_no_descriptor() {
        assert_eq!(Inbox::new().as_raw_fd(), None);
    }
}
