//! What the loops of servers and clients share: catching panics, pausing, waiting for a moment or for a bell.
//!
//! Must not know what is driven.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::process;
use std::sync::Arc;
use std::task::{Context, Poll, Wake as Woken, Waker};
use std::time::Duration;

use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, Sleep, sleep_until};

use super::inbox::Inbox;
use super::udp::{Counters, Received, UdpSocket, add};
use super::{clock, fork};
use crate::endpoint::Bell;

/// How long a loop leaves the socket alone after the system or a panic spoiled its turn.
const PAUSE: Duration = Duration::from_millis(10);
/// The least time between two reports of panics; each is counted.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// The most batches received before what is due is sent: a flood must not silence the others.
pub(super) const RECEIVES_PER_TURN: usize = 32;
/// The most datagrams sent before receiving has its turn again.
pub(super) const SENDS_PER_TURN: usize = 4096;

/// Why a loop was woken.
pub(super) enum Wake<C> {
    /// Something may be there to receive, or something is due.
    Turn,
    /// Somebody wants something.
    Command(C),
    /// Everybody who could want something is gone.
    Stop,
}

/// Waits until there is something to receive, `deadline` has come, the bell has rung, or somebody wants something; not at
/// all if the loop `is_busy`.
pub(super) async fn wait<C>(
    commands: &mut Receiver<C>,
    socket: &UdpSocket,
    failures: &mut Failures,
    alarm: &mut Alarm,
    doorbell: &mut Doorbell,
    deadline: Option<Duration>,
    is_busy: bool,
) -> Wake<C> {
    if is_busy {
        // Others in this runtime have their turn, and it sees to what it has to see to.
        tokio::task::yield_now().await;
    }
    poll_fn(|context| {
        match commands.poll_recv(context) {
            Poll::Ready(Some(command)) => return Poll::Ready(Wake::Command(command)),
            Poll::Ready(None) => return Poll::Ready(Wake::Stop),
            Poll::Pending => {}
        }
        let pause = failures.pausing();
        if pause.is_none() && (is_busy || socket.poll_readable(context).is_ready()) {
            return Poll::Ready(Wake::Turn);
        }
        if doorbell.poll(context).is_ready() && pause.is_none() {
            return Poll::Ready(Wake::Turn);
        }
        // During a pause nothing happens, whatever is due; after it the socket is looked at again at once.
        let deadline = [deadline, socket.next_arrival()].into_iter().flatten().min();
        match pause.or(deadline) {
            Some(at) => alarm.poll_at(at, context).map(|()| Wake::Turn),
            None => Poll::Pending,
        }
    })
    .await
}

/// Catches what must not end a loop, and knows when the loop is to pause.
pub(super) struct Failures {
    counters: Arc<Counters>,
    inbox: Arc<Inbox>,
    reported: Option<Duration>,
    pause: Option<Duration>,
}

impl Failures {
    pub(super) fn new(counters: Arc<Counters>, inbox: Arc<Inbox>) -> Self {
        Self { counters, inbox, reported: None, pause: None }
    }

    /// Runs a step of the loop. A panic in it is a defect of the core: counted, reported, and the loop goes on.
    pub(super) fn catch<T>(&mut self, step: impl FnOnce() -> T) -> Option<T> {
        match catch_unwind(AssertUnwindSafe(step)) {
            Ok(value) => Some(value),
            Err(panic) => {
                add(&self.counters.panics, 1);
                let now = clock::now();
                if self.reported.is_none_or(|last| now.saturating_sub(last) >= REPORT_INTERVAL) {
                    self.reported = Some(now);
                    self.inbox.report(message(panic.as_ref()));
                }
                None
            }
        }
    }

    /// Lets the loop leave the socket alone for a while.
    pub(super) fn pause(&mut self, now: Duration) {
        self.pause = Some(now + PAUSE);
    }

    /// Whether there may be more to receive now; where the system refused, the loop pauses.
    pub(super) fn may_receive_more(&mut self, now: Duration, received: Received) -> bool {
        if received == Received::Failed {
            self.pause(now);
        }
        received == Received::Some
    }

    /// Until when the socket is to be left alone.
    pub(super) fn pausing(&mut self) -> Option<Duration> {
        self.pause = self.pause.filter(|&until| until > clock::now());
        self.pause
    }
}

/// What a panic said.
pub(super) fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a message")
        .into()
}

/// A timer that is set anew each time it is asked.
pub(super) struct Alarm {
    sleep: Pin<Box<Sleep>>,
    at: Duration,
}

impl Alarm {
    /// One in the runtime of this thread.
    pub(super) fn new() -> Self {
        let at = clock::now();
        Self { sleep: Box::pin(sleep_until(clock::instant(at).into())), at }
    }

    /// Ready when `at` has come; wakes the task then.
    pub(super) fn poll_at(&mut self, at: Duration, context: &mut Context<'_>) -> Poll<()> {
        // The runtime's timers are of a millisecond and round up.
        if at <= clock::now() {
            return Poll::Ready(());
        }
        if self.at != at {
            self.at = at;
            self.sleep.as_mut().reset(Instant::from_std(clock::instant(at)));
        }
        self.sleep.as_mut().poll(context)
    }
}

/// The loop's end of a bell.
pub(super) struct Doorbell {
    bell: Arc<Bell>,
    /// Of the task that is woken.
    waker: Option<Waker>,
}

impl Doorbell {
    /// That of `bell`, which wakes nobody yet.
    pub(super) fn of(bell: &Arc<Bell>) -> Self {
        Self { bell: Arc::clone(bell), waker: None }
    }

    /// Ready when it has rung; wakes the task then.
    fn poll(&mut self, context: &Context<'_>) -> Poll<()> {
        if !self.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            let waker = context.waker().clone();
            self.waker = Some(waker.clone());
            let _step = fork::step();
            self.bell.set_waker(Arc::new(Sleeper { process: process::id(), waker }).into());
        }
        if self.bell.has_rung() { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// A loop that can be woken by its own process only: the child of a fork has a copy of the bell, and what it would wake
/// is the parent's.
struct Sleeper {
    process: u32,
    waker: Waker,
}

impl Woken for Sleeper {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if process::id() == self.process {
            self.waker.wake_by_ref();
        }
    }
}
