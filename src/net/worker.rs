//! A thread that works until it is told to stop, and publishes how far it is.

use std::{
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

/// What the thread and its owner have in common.
#[derive(Debug, Default)]
pub(super) struct Shared<R> {
    report: Mutex<R>,
    stop: AtomicBool,
}

impl<R> Shared<R> {
    /// The report, to be changed.
    pub(super) fn report(&self) -> MutexGuard<'_, R> {
        lock(&self.report)
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
}

impl<R: Clone + Default + Send + 'static> Worker<R> {
    /// Starts the thread.
    pub(super) fn start(name: &str, work: impl FnOnce(&Shared<R>) + Send + 'static) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let threads = Arc::clone(&shared);
        let thread = thread::Builder::new().name(name.into()).spawn(move || work(&threads))?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)) })
    }

    /// What it published last.
    pub(super) fn report(&self) -> R {
        self.shared.report().clone()
    }
}

impl<R> Worker<R> {
    /// Whether it has ended.
    pub(super) fn is_over(&self) -> bool {
        lock(&self.thread).as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Ends it, and waits until that is done.
    pub(super) fn stop(&self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        let thread = lock(&self.thread).take();
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
