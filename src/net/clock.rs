//! The only clock of the core: monotonic, as a duration since the process first asked.
//!
//! Must stay the only place that asks the machine for the time; everything below `net` gets it as an argument.
#![allow(clippy::disallowed_methods, reason = "this is the clock the others are given the time from")]

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// When the process first asked. A forked child goes on with its parent's: the clock is the machine's.
static EPOCH: OnceLock<Instant> = OnceLock::new();

/// The time: since the first call in this process, never going back, whatever happens to the wall clock.
pub fn now() -> Duration {
    let now = Instant::now();
    now.duration_since(*EPOCH.get_or_init(|| now))
}

/// The moment `at`, for timers that want one; about a day from now if it cannot be expressed.
pub(crate) fn instant(at: Duration) -> Instant {
    let now = Instant::now();
    let epoch = *EPOCH.get_or_init(|| now);
    epoch.checked_add(at).unwrap_or_else(|| now + Duration::from_secs(86_400))
}

/// The wall clock, since 1970: to compare it with what another machine says. Nothing goes by it.
pub(crate) fn wall() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_goes_back() {
        let mut last = now();
        for _ in 0..1000 {
            let next = now();
            assert!(next >= last);
            last = next;
        }
    }

    #[test]
    fn instants_are_those_of_the_clock() {
        let before = now();
        let at = instant(before + Duration::from_millis(5));
        std::thread::sleep(Duration::from_millis(6));
        assert!(Instant::now() > at);
        assert!(instant(Duration::MAX) > at);
    }
}
