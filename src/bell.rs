//! How a driver that sleeps hears that something may go out earlier than it knows of.
//!
//! Whoever dispatches an event rings, from any thread; the driver has left a waker. Knows neither runtime nor thread.

use std::{
    collections::BTreeSet,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::Waker,
};

/// Rung by connections with fresh events for the driver that they share.
///
/// While it is held, it is rung without a sound: a step of the game is under way, and its events are to go out with
/// what it changes.
#[derive(Debug, Default)]
pub struct Bell {
    rung: AtomicBool,
    held: AtomicBool,
    /// Who rang, each once, however long nobody looks. In order, so that a simulation is the same each time.
    keys: Mutex<BTreeSet<usize>>,
    waker: Mutex<Option<Waker>>,
}

impl Bell {
    /// Has `waker` woken when it rings from now on. Whoever leaves one looks at [`Self::has_rung`] after that.
    pub fn set_waker(&self, waker: Waker) {
        *lock(&self.waker) = Some(waker);
    }

    /// Whether it has rung since the driver last looked who did.
    pub fn has_rung(&self) -> bool {
        self.rung.load(SeqCst) && !self.held.load(SeqCst)
    }

    /// Rings for `key`. The driver is woken by the first of those that it has not looked at.
    pub(crate) fn ring(&self, key: usize) {
        lock(&self.keys).insert(key);
        if !self.rung.swap(true, SeqCst) && !self.held.load(SeqCst) {
            self.wake();
        }
    }

    /// Adds who has rung to `keys`; nobody while it is held.
    pub(crate) fn take(&self, keys: &mut Vec<usize>) {
        if self.has_rung() {
            // In this order: who rings in between wakes the driver in vain.
            self.rung.store(false, SeqCst);
            keys.extend(std::mem::take(&mut *lock(&self.keys)));
        }
    }

    /// Makes no sound until [`Self::release`].
    pub(crate) fn hold(&self) {
        self.held.store(true, SeqCst);
    }

    /// Makes a sound again, at once if it was rung meanwhile.
    pub(crate) fn release(&self) {
        if self.held.swap(false, SeqCst) && self.rung.load(SeqCst) {
            self.wake();
        }
    }

    fn wake(&self) {
        if let Some(waker) = &*lock(&self.waker) {
            waker.wake_by_ref();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicU32, Ordering},
        },
        task::Wake,
    };

    use super::*;

    #[derive(Default)]
    struct Sleeper(AtomicU32);

    impl Wake for Sleeper {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    impl Sleeper {
        fn woken(&self) -> u32 {
            self.0.swap(0, Ordering::SeqCst)
        }
    }

    fn bell() -> (Bell, Arc<Sleeper>) {
        let (bell, sleeper) = (Bell::default(), Arc::new(Sleeper::default()));
        bell.set_waker(Arc::clone(&sleeper).into());
        (bell, sleeper)
    }

    fn taken(bell: &Bell) -> Vec<usize> {
        let mut keys = Vec::new();
        bell.take(&mut keys);
        keys
    }

    #[test]
    fn many_that_ring_wake_the_driver_once() {
        let (bell, sleeper) = bell();
        for _ in 0..2 {
            (0..1000).for_each(|key| bell.ring(key));
            assert_eq!((sleeper.woken(), bell.has_rung()), (1, true));
            assert_eq!(taken(&bell), (0..1000).collect::<Vec<_>>());
            assert!(!bell.has_rung());
        }
    }

    #[test]
    fn a_bell_that_is_held_rings_when_it_is_released() {
        let (bell, sleeper) = bell();
        bell.hold();
        // However often: a step may last for many packages.
        (0..1000).for_each(|_| bell.ring(7));
        assert_eq!((sleeper.woken(), bell.has_rung(), taken(&bell)), (0, false, vec![]));
        bell.release();
        assert_eq!((sleeper.woken(), taken(&bell)), (1, vec![7]));
        bell.hold();
        bell.release();
        assert_eq!(sleeper.woken(), 0, "nobody rang");
    }

    #[test]
    fn nobody_who_rings_is_overlooked() {
        let bell = Arc::new(Bell::default());
        let ringing: Vec<_> = (0..4)
            .map(|thread| {
                let bell = Arc::clone(&bell);
                std::thread::spawn(move || (0..1000).for_each(|key| bell.ring(thread * 1000 + key)))
            })
            .collect();
        let mut all = Vec::new();
        while all.len() < 4000 {
            if bell.has_rung() {
                all.append(&mut taken(&bell));
            }
            std::thread::yield_now();
        }
        for thread in ringing {
            thread.join().unwrap();
        }
        all.sort_unstable();
        assert_eq!(all, (0..4000).collect::<Vec<_>>());
    }
}
