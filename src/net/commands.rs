//! Asking something of a loop, from any thread: also from one that is in a task of somebody else's runtime.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use tokio::sync::mpsc::Sender;
use tokio::task::unconstrained;

/// Hands over a command, waiting for room; false if nobody takes commands any more.
///
/// `blocking_send` panics in a task. This holds up the task and its runtime for as long as it waits, as does all else
/// that waits for a loop.
pub(super) fn send<C>(commands: &Sender<C>, command: C) -> bool {
    // A task that has used up its turn would be refused room, however much there is.
    let mut sending = pin!(unconstrained(commands.send(command)));
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        match sending.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(sent) => return sent.is_ok(),
            Poll::Pending => thread::park(),
        }
    }
}

/// Wakes a thread that waits.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::runtime::Builder;
    use tokio::sync::mpsc;
    use tokio::task::coop::{consume_budget, has_budget_remaining};

    #[test]
    fn room_is_waited_for_in_a_thread_and_in_a_task_that_has_used_up_its_turn() {
        let (sender, mut receiver) = mpsc::channel(1);
        let taking = thread::spawn(move || {
            let mut taken = Vec::new();
            while let Some(number) = receiver.blocking_recv() {
                taken.push(number);
            }
            taken
        });
        assert!((0..100).all(|number| send(&sender, number)));
        Builder::new_current_thread().build().unwrap().block_on(async {
            while has_budget_remaining() {
                consume_budget().await;
            }
            assert!((100..200).all(|number| send(&sender, number)));
        });
        drop(sender);
        assert!(taking.join().unwrap().into_iter().eq(0..200));
    }

    #[test]
    fn nobody_is_waited_for_where_nobody_takes_commands() {
        let (sender, receiver) = mpsc::channel(1);
        drop(receiver);
        assert!(!send(&sender, 1));
    }
}
