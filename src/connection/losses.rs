//! What is lost or given up: packages in flight, their events, the other side.

use std::time::Duration;

use super::{Connection, ConnectionEvent, SentPackage, Status, events::Outgoing};

impl Connection {
    /// What is lost by `now`: packages, and the other side when it was silent for too long. Events that waited in
    /// vain for those before them are handed on.
    pub fn expire(&mut self, now: Duration) {
        if let Some(before) = now.checked_sub(self.config.package_timeout) {
            let lost: Vec<_> = std::iter::from_fn(|| self.in_flight.pop_sent_until(before)).collect();
            self.stats.lost += lost.len() as u64;
            for package in &lost {
                self.overdue.push(package.sequence, package.at);
            }
            self.lose(lost);
        }
        self.overdue.expire(now);
        if let Some(arrivals) = &mut self.arrivals {
            let mut ready = Vec::new();
            arrivals.expire(now, &mut ready);
            self.happened.extend(ready.into_iter().map(ConnectionEvent::Event));
        }
        if self.status == Status::Connected && self.silence(now) > self.config.timeout {
            self.set_status(Status::Disconnected);
        }
    }

    /// Gives up every event in flight or waiting: each callback hears of a timeout.
    pub fn abandon_events(&mut self) {
        let in_flight = self.in_flight.drain().flat_map(SentPackage::into_callbacks);
        let waiting = self.outgoing.drain().filter_map(|out| out.callback);
        self.happened.extend(in_flight.chain(waiting).map(ConnectionEvent::TimedOut));
    }

    /// Gives up events in flight or waiting that are not to be sent again; the others wait.
    pub fn abandon_unretried(&mut self) {
        self.abandon_but(|outgoing| outgoing.retries > 0);
    }

    /// Gives up events that may have come to the other side, which will not know them again; the others wait.
    pub(crate) fn abandon_doubtful(&mut self) {
        self.abandon_but(|outgoing| !outgoing.may_have_come);
    }

    fn abandon_but(&mut self, stays: impl Fn(&Outgoing) -> bool) {
        self.lose_in_flight();
        self.happened.extend(self.outgoing.retain(stays).into_iter().map(ConnectionEvent::TimedOut));
    }

    /// Has what was in lost packages sent again before anything else, or tells that it is lost.
    fn lose(&mut self, packages: Vec<SentPackage>) {
        let mut again = Vec::new();
        for package in packages {
            let cargo = package.into_cargo();
            self.happened.extend(cargo.callbacks.into_iter().map(ConnectionEvent::TimedOut));
            again.extend(cargo.again);
        }
        for event in again.into_iter().rev() {
            if let Err(event) = self.outgoing.put_back(&self.config, event) {
                self.stats.queue_full += 1;
                self.happened.extend(event.callback.map(ConnectionEvent::TimedOut));
            }
        }
    }

    pub(super) fn lose_in_flight(&mut self) {
        let packages = self.in_flight.drain().collect();
        self.lose(packages);
    }
}
