//! The moment of a fork, for which the threads that drive sockets stand still between two steps.
//!
//! Owns the gate they pass for each step. Without it the child would get a copy of whatever lock one of them holds,
//! and nobody there to let go of it.

use std::cell::RefCell;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

static GATE: RwLock<()> = RwLock::new(());

thread_local! {
    static CLOSED: RefCell<Option<RwLockWriteGuard<'static, ()>>> = const { RefCell::new(None) };
}

/// Begins a step, which lasts as long as what this gives: no process is forked meanwhile.
pub(super) fn step() -> RwLockReadGuard<'static, ()> {
    GATE.read().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until no thread is in a step, and lets none begin one before [`go_on`]. To be called right before a fork, by
/// the thread that forks.
pub fn stand_still() {
    let guard = GATE.write().unwrap_or_else(PoisonError::into_inner);
    CLOSED.set(Some(guard));
}

/// Lets steps go on: to be called right after a fork, by the thread that forked and by the only one of the child.
pub fn go_on() {
    drop(CLOSED.take());
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use super::*;

    #[test]
    fn nobody_begins_a_step_while_a_process_forks() {
        stand_still();
        let (begun, steps) = mpsc::channel();
        let stepping = thread::spawn(move || {
            let _step = step();
            begun.send(()).unwrap();
        });
        assert!(steps.recv_timeout(Duration::from_millis(50)).is_err());
        go_on();
        steps.recv().unwrap();
        stepping.join().unwrap();
    }
}
