//! Single steps of a connection, for whoever drives one by hand.
//!
//! Adds nothing to what the machine knows or does; only takes it apart.

use std::{sync::Arc, time::Duration};

use super::{Arrival, Config, Connection, ConnectionEvent, SentPackage, round_trip::smoothed};
use crate::wire::Sqn;

impl Connection {
    /// Changes timing and limits.
    pub fn configure(&mut self, config: Config) {
        if self.congestion.throttle_time <= self.config.min_throttle_time {
            self.congestion.throttle_time = config.min_throttle_time;
        }
        if *self.config != config {
            self.config = Arc::new(config);
        }
    }

    /// Time between packages by quality alone.
    pub fn nominal_interval(&self) -> Duration {
        let set = self.congestion.set_interval.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let by_speed =
            if self.congestion.fast { self.config.interval_good } else { self.config.interval_bad };
        set.unwrap_or(by_speed)
    }

    /// Takes note of a received number.
    pub fn note_received(&mut self, sequence: Sqn) -> Arrival {
        let arrival = self.received.receive(sequence);
        match arrival {
            Arrival::Duplicate => self.stats.duplicate += 1,
            Arrival::Late => self.stats.late += 1,
            Arrival::Newest | Arrival::Older => {}
        }
        arrival
    }

    /// Takes a round trip time in seconds into the smoothed one.
    pub fn note_round_trip(&mut self, seconds: f64) {
        self.latency = smoothed(self.latency, seconds);
    }

    /// Takes out the next thing that happened, besides events that came in.
    pub fn poll_outcome(&mut self) -> Option<ConnectionEvent> {
        let index = self.happened.iter().position(|event| !matches!(event, ConnectionEvent::Event(_)))?;
        self.happened.remove(index)
    }

    /// Takes out the next event that came in.
    pub fn poll_incoming(&mut self) -> Option<Box<[u8]>> {
        let index = self.happened.iter().position(|event| matches!(event, ConnectionEvent::Event(_)))?;
        let Some(ConnectionEvent::Event(event)) = self.happened.remove(index) else { return None };
        self.incoming.release(event.len());
        Some(event)
    }

    /// Whether an event that came in waits.
    pub fn has_incoming(&self) -> bool {
        self.happened.iter().any(|event| matches!(event, ConnectionEvent::Event(_)))
    }

    /// Claims that a package was sent at `at`, or that one in flight was sent then.
    pub fn claim_sent(&mut self, sequence: Sqn, at: Duration) {
        let package = self.in_flight.forget(sequence).unwrap_or_else(|| SentPackage::new(sequence, at));
        self.in_flight.push(SentPackage { at, number: None, ..package });
    }

    /// Forgets a package in flight, and with it what becomes of its events.
    pub fn forget_sent(&mut self, sequence: Sqn) -> Option<SentPackage> {
        self.in_flight.forget(sequence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happened_can_be_taken_apart() {
        let mut connection = Connection::default();
        let event: Box<[u8]> = vec![0xc0].into();
        connection.accept_held(Duration::ZERO, vec![event.clone()]);
        connection.set_status(super::super::Status::Connected);
        assert!(matches!(connection.poll_outcome(), Some(ConnectionEvent::Status(_))));
        assert_eq!(connection.poll_outcome(), None);
        assert!(connection.has_incoming());
        assert_eq!((connection.poll_incoming(), connection.poll_incoming()), (Some(event), None));
    }

    #[test]
    fn an_interval_set_by_hand_holds_until_the_speed_changes() {
        let mut connection = Connection::default();
        connection.congestion.set_interval = Some(0.3);
        assert_eq!(connection.nominal_interval(), Duration::from_millis(300));
        connection.congestion.step(&Config::default(), 0.1, 1.0);
        assert_eq!(connection.nominal_interval(), Duration::from_millis(50));
    }
}
