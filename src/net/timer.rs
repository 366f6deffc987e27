//! Ticks at absolute deadlines for a game loop: 50.0 Hz stays 50.0 Hz, whatever a tick takes.
//!
//! Owns nothing but its own state; the thread that waits is the caller's.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::clock;

/// What came of waiting for a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tick {
    /// It is time; so long after the tick before (the interval, for the first).
    Due(Duration),
    /// The patience of the caller ended first.
    NotYet,
    /// The timer was stopped: there are no more ticks.
    Stopped,
}

/// A clock that ticks at multiples of an interval after its first tick, which comes at once.
///
/// A tick that comes late does not move those after it. Ticks that were missed altogether are made up for by at most
/// one that comes at once; the others are left out and counted.
#[derive(Debug)]
pub struct TickTimer {
    interval: Duration,
    state: Mutex<State>,
    woken: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// When the next tick is due; None before the first.
    next: Option<Duration>,
    /// When the last one was given out.
    last: Option<Duration>,
    overruns: u64,
    stopped: bool,
}

impl State {
    /// When the next tick is due, if that is later than `now`.
    fn remaining(&self, now: Duration) -> Option<Duration> {
        self.next.and_then(|next| next.checked_sub(now)).filter(|left| !left.is_zero())
    }

    /// Gives out the tick that is due and sets the next.
    fn tick(&mut self, now: Duration, interval: Duration) -> Duration {
        let elapsed = self.last.map_or(interval, |last| now.saturating_sub(last));
        let mut next = self.next.unwrap_or(now) + interval;
        let late = now.saturating_sub(next).as_nanos() as u64;
        if let Some(missed) = late.checked_div(interval.as_nanos() as u64).filter(|&missed| missed > 0) {
            // The latest moment of the grid that has passed: one tick at once, then the grid again.
            next += Duration::from_nanos(missed * interval.as_nanos() as u64);
            self.overruns += missed;
        }
        self.last = Some(now);
        self.next = Some(next);
        elapsed
    }
}

impl TickTimer {
    /// A timer whose first tick is due at once. An interval of zero makes every tick due at once.
    pub fn new(interval: Duration) -> Self {
        Self { interval, state: Mutex::default(), woken: Condvar::new() }
    }

    /// Waits for the next tick; None when the timer was stopped.
    pub fn wait(&self) -> Option<Duration> {
        loop {
            match self.wait_at_most(Duration::from_secs(60)) {
                Tick::Due(elapsed) => return Some(elapsed),
                Tick::NotYet => {}
                Tick::Stopped => return None,
            }
        }
    }

    /// Waits for the next tick, but no longer than `patience`: for callers that have to look at something else
    /// (signals) from time to time.
    pub fn wait_at_most(&self, patience: Duration) -> Tick {
        let give_up = clock::now().saturating_add(patience);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let now = clock::now();
            if state.stopped {
                return Tick::Stopped;
            }
            let Some(left) = state.remaining(now) else {
                return Tick::Due(state.tick(now, self.interval));
            };
            let Some(patience) = give_up.checked_sub(now).filter(|left| !left.is_zero()) else {
                return Tick::NotYet;
            };
            let left = left.min(patience);
            // Waiting on a condition is as coarse as the system's timer on Windows (15 ms); sleeping is not.
            if cfg!(windows) {
                drop(state);
                std::thread::sleep(left.min(Duration::from_millis(20)));
                state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            } else {
                state = self.woken.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
            }
        }
    }

    /// Ends it: whoever waits comes back at once, and every later wait.
    pub fn stop(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).stopped = true;
        self.woken.notify_all();
    }

    /// Whether it was stopped.
    pub fn is_stopped(&self) -> bool {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).stopped
    }

    /// How many ticks were left out because those before them took too long.
    pub fn overruns(&self) -> u64 {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).overruns
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::thread;

    const MS: Duration = Duration::from_millis(1);

    /// The ticks a loop gets whose steps take `work`, as (moment, elapsed), in milliseconds, without waiting.
    fn simulate(interval: u32, work: &[u32]) -> (Vec<(u128, u128)>, u64) {
        let mut state = State::default();
        let mut now = Duration::from_secs(7);
        let start = now;
        let mut ticks = Vec::new();
        for &work in work {
            if let Some(left) = state.remaining(now) {
                now += left;
            }
            let elapsed = state.tick(now, MS * interval);
            ticks.push((now.abs_diff(start).as_millis(), elapsed.as_millis()));
            now += MS * work;
        }
        (ticks, state.overruns)
    }

    #[test]
    fn ticks_are_on_the_grid() {
        let (ticks, overruns) = simulate(20, &[1, 19, 7, 0, 20]);
        assert_eq!(ticks, [(0, 20), (20, 20), (40, 20), (60, 20), (80, 20)]);
        assert_eq!(overruns, 0);
    }

    #[test]
    fn a_late_tick_does_not_move_the_others() {
        let (ticks, overruns) = simulate(20, &[1, 25, 1, 1]);
        assert_eq!(ticks, [(0, 20), (20, 20), (45, 25), (60, 15)]);
        assert_eq!(overruns, 0);
    }

    #[test]
    fn a_stall_is_followed_by_one_tick_at_once() {
        let (ticks, overruns) = simulate(20, &[1, 1000, 0, 0, 0]);
        assert_eq!(ticks, [(0, 20), (20, 20), (1020, 1000), (1020, 0), (1040, 20)]);
        assert_eq!(overruns, 48);
    }

    #[test]
    fn a_loop_that_is_too_slow_runs_as_fast_as_it_can() {
        let (ticks, _) = simulate(20, &[30; 20]);
        assert_eq!(ticks.last(), Some(&(19 * 30, 30)));
    }

    #[test]
    fn an_interval_of_zero_never_waits() {
        let (ticks, overruns) = simulate(0, &[5, 0, 5]);
        assert_eq!(ticks, [(0, 0), (5, 5), (5, 0)]);
        assert_eq!(overruns, 0);
    }

    #[test]
    fn a_coarse_sleep_makes_ticks_late_but_not_fewer() {
        // The system wakes one up at multiples of 15.625 ms only, as Windows does by default.
        let (grid, interval) = (Duration::from_micros(15_625), MS * 20);
        let mut state = State::default();
        let (mut now, mut sum) = (Duration::ZERO, Duration::ZERO);
        for count in 0..1000_u32 {
            if let Some(left) = state.remaining(now) {
                let woken = (now + left).as_nanos().div_ceil(grid.as_nanos()) * grid.as_nanos();
                now = Duration::from_nanos(u64::try_from(woken).unwrap());
            }
            sum += state.tick(now, interval);
            let late = now.abs_diff(interval * count);
            assert!(late < grid, "tick {count} is late by {late:?}");
        }
        // The first tick counts as one interval, the others as the time between them.
        assert_eq!((sum, state.overruns), (now + interval, 0));
    }

    #[test]
    fn it_waits_for_real_and_keeps_the_rate() {
        let timer = TickTimer::new(MS * 5);
        let start = clock::now();
        for _ in 0..41 {
            assert!(timer.wait().is_some());
        }
        let took = clock::now().abs_diff(start);
        assert!(took >= MS * 200 && took < MS * 2000, "40 intervals of 5 ms took {took:?}");
    }

    #[test]
    fn patience_ends_before_the_tick() {
        let timer = TickTimer::new(Duration::from_secs(3600));
        assert_eq!(timer.wait_at_most(MS), Tick::Due(Duration::from_secs(3600)));
        assert_eq!(timer.wait_at_most(MS), Tick::NotYet);
    }

    #[test]
    fn stopping_wakes_the_one_who_waits() {
        let timer = Arc::new(TickTimer::new(Duration::from_secs(3600)));
        assert!(timer.wait().is_some());
        let waiting = thread::spawn({
            let timer = Arc::clone(&timer);
            move || timer.wait()
        });
        thread::sleep(MS * 20);
        let start = clock::now();
        timer.stop();
        assert_eq!(waiting.join().unwrap(), None);
        assert!(clock::now().abs_diff(start) < MS * 500);
        assert!(timer.is_stopped());
        assert_eq!(timer.wait_at_most(MS), Tick::Stopped);
    }
}
