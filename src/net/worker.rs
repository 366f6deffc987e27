//! A thread that works until it is told to stop, and publishes how far it is.

use std::{
    io, mem, process,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use super::fork;

/// What the thread and its owner have in common.
#[derive(Debug, Default)]
pub(super) struct Shared<R> {
    report: Mutex<R>,
    stop: AtomicBool,
}

impl<R> Shared<R> {
    /// Changes the report.
    pub(super) fn publish(&self, change: impl FnOnce(&mut R)) {
        let _step = fork::step();
        change(&mut lock(&self.report));
    }

    /// Whether the thread is to end.
    pub(super) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// A thread and its report. Dropping it ends the thread.
#[derive(Debug)]
pub(super) struct Worker<R> {
    shared: Arc<Shared<R>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// The process that has the thread: a forked child has a copy of this, but no thread.
    process: u32,
}

impl<R: Clone + Default + Send + 'static> Worker<R> {
    /// Starts the thread.
    pub(super) fn start(name: &str, work: impl FnOnce(&Shared<R>) + Send + 'static) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let threads = Arc::clone(&shared);
        let thread = thread::Builder::new().name(name.into()).spawn(move || work(&threads))?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)), process: process::id() })
    }

    /// What it published last.
    pub(super) fn report(&self) -> R {
        let _step = fork::step();
        lock(&self.shared.report).clone()
    }
}

impl<R> Worker<R> {
    /// Whether it has ended.
    pub(super) fn is_over(&self) -> bool {
        process::id() != self.process || lock(&self.thread).as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Ends it, and waits until that is done.
    pub(super) fn stop(&self) {
        let thread = lock(&self.thread).take();
        if process::id() != self.process {
            // It is the parent's.
            mem::forget(thread);
            return;
        }
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = thread {
            // It has nothing to say that is not in the report.
            let _ = thread.join();
        }
    }
}

impl<R> Drop for Worker<R> {
    fn drop(&mut self) {
        self.stop();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
