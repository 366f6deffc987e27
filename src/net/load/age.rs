//! How old the state is that a client holds, where the state itself says when it was made.
//!
//! Owns where that is written and how the ages are counted. Needs no copy of the state: the value that came last is
//! the one that counts.

use std::{collections::BTreeMap, time::Duration};

use crate::wire::msgpack::{Reader, Token};

/// Resolution of ages.
const STEP: f64 = 1e-4;
/// How many different ages are kept apart; others are only counted.
const MAX_STEPS: usize = 20_000;

/// A value of the state that grows with time.
#[derive(Clone, Debug, PartialEq)]
pub struct StateClock {
    /// The keys that lead to it.
    pub path: Vec<String>,
    /// How much it grows in a second, from a beginning nobody knows; `None` for milliseconds since 1970.
    pub rate: Option<f64>,
}

impl StateClock {
    /// The seconds an update says it is, if it says so.
    pub(super) fn read(&self, update: &[u8]) -> Option<f64> {
        let mut reader = Reader::new(update);
        for wanted in &self.path {
            let Ok(Token::Map(length)) = reader.next() else { return None };
            let mut found = false;
            for _ in 0..length {
                found = match reader.next().ok()? {
                    Token::Str(key) => key == wanted,
                    Token::Uint(key) => key.to_string() == *wanted,
                    Token::Int(key) => key.to_string() == *wanted,
                    _ => false,
                };
                if found {
                    break;
                }
                reader.skip().ok()?;
            }
            if !found {
                return None;
            }
        }
        let value = match reader.next().ok()? {
            Token::Uint(value) => value as f64,
            Token::Int(value) => value as f64,
            Token::F32(value) => value.into(),
            Token::F64(value) => value,
            _ => return None,
        };
        Some(value / self.rate.unwrap_or(1000.0)).filter(|seconds| seconds.is_finite())
    }
}

/// The ages of states, counted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ages {
    /// How far the state was behind our clock, in steps, and how often.
    behind: BTreeMap<i64, u32>,
    /// What our clock is behind the state's, in steps; `None` where the youngest state counts as of no age.
    ahead: Option<i64>,
    /// Ages that found no room.
    left_out: u64,
}

impl Ages {
    /// None so far. `wall` is the wall clock at `now`.
    pub(super) fn new(clock: &StateClock, now: Duration, wall: Duration) -> Self {
        let ahead = (wall.as_secs_f64() - now.as_secs_f64()) / STEP;
        Self { ahead: clock.rate.is_none().then_some(ahead.round() as i64), ..Self::default() }
    }

    /// Counts a state of the moment `made` that is held at `now`.
    pub(super) fn note(&mut self, now: Duration, made: f64) {
        let step = ((now.as_secs_f64() - made) / STEP).floor() as i64;
        if self.behind.len() < MAX_STEPS || self.behind.contains_key(&step) {
            *self.behind.entry(step).or_default() += 1;
        } else {
            self.left_out += 1;
        }
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.behind.values().map(|&count| u64::from(count)).sum::<u64>() + self.left_out
    }

    /// The age in seconds that a share `quantile` (0.0..=1.0) of the states stayed below; below 0 if the clocks of
    /// two machines differ. `None` without any.
    pub fn quantile(&self, quantile: f64) -> Option<f64> {
        let ahead = self.ahead.or_else(|| self.behind.keys().next().map(|youngest| -youngest))?;
        let all: u64 = self.behind.values().map(|&count| u64::from(count)).sum();
        let wanted = (all as f64 * quantile).ceil().max(1.0) as u64;
        let mut seen = 0;
        let (step, _) = self.behind.iter().find(|&(_, &count)| {
            seen += u64::from(count);
            seen >= wanted
        })?;
        Some((step + ahead + 1) as f64 * STEP)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::msgpack;

    fn clock(path: &str, rate: Option<f64>) -> StateClock {
        StateClock { path: path.split('.').map(Into::into).collect(), rate }
    }

    /// `{"a": [1, {"b": 2}], "world": {7: {"ticks": 500}, "now": 1.5}, "b": 3}`
    fn update() -> Vec<u8> {
        let mut out = Vec::new();
        msgpack::write_map_len(&mut out, 3);
        msgpack::write_str(&mut out, "a");
        msgpack::write_array_len(&mut out, 2);
        msgpack::write_uint(&mut out, 1);
        msgpack::write_map_len(&mut out, 1);
        msgpack::write_str(&mut out, "b");
        msgpack::write_uint(&mut out, 2);
        msgpack::write_str(&mut out, "world");
        msgpack::write_map_len(&mut out, 2);
        msgpack::write_uint(&mut out, 7);
        msgpack::write_map_len(&mut out, 1);
        msgpack::write_str(&mut out, "ticks");
        msgpack::write_uint(&mut out, 500);
        msgpack::write_str(&mut out, "now");
        msgpack::write_f32(&mut out, 1.5);
        msgpack::write_str(&mut out, "b");
        msgpack::write_uint(&mut out, 3);
        out
    }

    #[test]
    fn a_clock_is_found_at_its_path_alone() {
        assert_eq!(clock("world.7.ticks", Some(50.0)).read(&update()), Some(10.0));
        assert_eq!(clock("world.now", Some(1.0)).read(&update()), Some(1.5));
        assert_eq!(clock("b", None).read(&update()), Some(0.003));
        for nowhere in ["world", "a.b", "world.8.ticks", "world.7.ticks.x", "c", ""] {
            assert_eq!(clock(nowhere, None).read(&update()), None, "{nowhere}");
        }
        assert_eq!(clock("b", None).read(&update()[..10]), None);
    }

    #[test]
    fn ages_count_from_the_youngest_or_by_the_wall_clock() {
        let now = Duration::from_secs(5);
        let mut relative = Ages::new(&clock("t", Some(50.0)), now, Duration::from_secs(1_000_000));
        let mut absolute = Ages::new(&clock("t", None), now, Duration::from_secs(1_000_000));
        assert_eq!((relative.quantile(0.5), relative.count()), (None, 0));
        for ms in 1..=100 {
            let at = now + Duration::from_millis(ms);
            relative.note(at, 77.0);
            absolute.note(at, 999_999.99);
        }
        let near = |age: Option<f64>, expected: f64| assert!((age.unwrap() - expected).abs() < 2.5e-4);
        near(relative.quantile(0.0), 0.0);
        near(relative.quantile(0.5), 0.049);
        near(relative.quantile(1.0), 0.099);
        near(absolute.quantile(0.5), 0.060);
        assert_eq!(absolute.count(), 100);
    }

    #[test]
    fn ages_without_end_take_no_memory_without_end() {
        let mut ages = Ages::default();
        for step in 0..MAX_STEPS as u32 + 500 {
            ages.note(Duration::from_secs(step.into()), 0.0);
        }
        assert_eq!((ages.behind.len(), ages.left_out), (MAX_STEPS, 500));
        assert_eq!(ages.count(), MAX_STEPS as u64 + 500);
    }
}
