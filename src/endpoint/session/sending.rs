//! What a package to a client has room for: the state, its events, the token of the session.

use std::time::Duration;

use super::{
    super::{SERVER_PREFIX, datagram_limit, empty_update, events_per_package},
    Driver, EARLY_ACKS, ServerConnection,
};
use crate::{
    connection::{Quality, Status, TOKEN_EVENT_SIZE, Token, farewell_event, token_event},
    state::{PeerKind, Store, View},
    wire::{Body, Header, PackageWriter, limits::MAX_DATAGRAM},
};

/// What may be sent to a fresh connection before it has acknowledged two packages, in bytes; beyond it,
/// packages carry neither state nor events.
const EARLY_CREDIT: u64 = 4096;
/// An event that would leave less than this for the state goes without it.
const MIN_STATE_BUDGET: usize = 64;
/// Packages in flight beyond which a large state comes at one package per interval.
const MAX_BURST: usize = 48;
/// The least size of packages that leaves room for anything.
const MIN_PACKAGE: usize = 256;

impl ServerConnection {
    /// Appends the next package to `out`. `scratch` is room to build the update in.
    pub(in crate::endpoint) fn write_package(
        &mut self,
        now: Duration,
        store: &mut Store,
        scratch: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) {
        let early = self.is_early();
        self.bell.let_go();
        scratch.clear();
        let number = self.write_update(now, store, early, scratch);
        if scratch.is_empty() {
            return;
        }
        let events_before = self.connection.stats.events_sent;
        let event = self.connection.next_event_size();
        let token = self.token_to_give();
        let without_events = self.prefix() + scratch.len();
        let limit = datagram_limit(&self.connection.config, self.target(), without_events, event);
        let header =
            Header { sequence: self.connection.local_sequence.next(), ..self.connection.acknowledgement() };
        let start = out.len();
        let written = PackageWriter::new(out, header, Body::Server { update: scratch }).map(|mut writer| {
            token.map(|token| writer.push_event(&token_event(&token), MAX_DATAGRAM));
        });
        if written.is_err() {
            self.connection.stats.queue_full += 1;
            return;
        }
        let events = if early { 0 } else { events_per_package(self.hello) };
        self.connection.fill_package(now, header.sequence, limit, events, out, start);
        if let Some(number) = number
            && self.hello
            && token.is_none()
            && self.connection.stats.events_sent == events_before
        {
            // A client of ours acknowledges a package without events only if it has merged what is in it.
            self.connection.number_newest(number);
        }
    }

    /// Appends to `out` the update for the next package that somebody else sends, by hand.
    pub fn update_by_hand(&mut self, now: Duration, store: &mut Store, out: &mut Vec<u8>) {
        self.driver = Driver::Hand;
        let reported = self.last_client_time_order;
        let fresh = || View::new(store, PeerKind::Original).starting_from(reported);
        self.view.get_or_insert_with(fresh).report(reported, store);
        self.write_update(now, store, false, out);
    }

    /// Appends the last package of a session to a client of ours that is there: it is told why.
    pub(in crate::endpoint) fn write_farewell(&mut self, now: Duration, reason: &str, out: &mut Vec<u8>) {
        if !self.hello || self.connection.status() != Status::Connected {
            return;
        }
        let header =
            Header { sequence: self.connection.local_sequence.next(), ..self.connection.acknowledgement() };
        let update = empty_update(self.last_client_time_order);
        write_farewell(header, &update, reason, out);
        self.connection.fill_package(now, header.sequence, MAX_DATAGRAM, 0, out, 0);
    }

    /// Whether an event waits for which the next package is to go early.
    pub(in crate::endpoint) fn hurries(&self) -> bool {
        self.driver == Driver::Server && self.connection.hurries(self.hello) && !self.is_early()
    }

    /// Whether the next package may follow in less than an interval: there is more of a large state for a client
    /// of ours than a package can take, and the line is good.
    pub(in crate::endpoint) fn may_burst(&self) -> bool {
        let connection = &self.connection;
        self.bursts
            && connection.congestion.fast
            && connection.congestion.quality == Quality::Good
            && self.early_acks >= EARLY_ACKS
            && connection.in_flight().len() < MAX_BURST
    }

    /// Whether the client has been sent its credit without having shown twice that it receives it.
    fn is_early(&self) -> bool {
        self.early_acks < EARLY_ACKS && self.connection.stats.bytes_sent - self.begun_at.1 >= EARLY_CREDIT
    }

    /// The token, until it is known to have arrived.
    fn token_to_give(&self) -> Option<Token> {
        self.token.filter(|_| self.given_after.is_some())
    }

    /// What a package has besides its update and events.
    fn prefix(&self) -> usize {
        SERVER_PREFIX + self.token_to_give().map_or(0, |_| 2 + TOKEN_EVENT_SIZE)
    }

    /// The size a package to this client aims at.
    fn target(&self) -> usize {
        let config = &self.connection.config;
        config.package_size.clamp(MIN_PACKAGE, MAX_DATAGRAM).min(config.max_datagram)
    }

    /// Appends the next update to `scratch`, nothing where there is no view; gives the number of what it is a
    /// part of.
    fn write_update(
        &mut self,
        now: Duration,
        store: &mut Store,
        early: bool,
        scratch: &mut Vec<u8>,
    ) -> Option<u64> {
        let (target, prefix) = (self.target(), self.prefix());
        let view = self.view.as_mut()?;
        let largest = self.connection.config.max_datagram.min(MAX_DATAGRAM);
        let event = self.connection.next_event_size();
        let taken = prefix + event.map_or(0, |size| 2 + size);
        // The first event has precedence, but not twice in a row: events without end must not starve the state.
        let budget = if self.state_gave_way {
            target.checked_sub(prefix)
        } else {
            target.checked_sub(taken).filter(|budget| *budget >= MIN_STATE_BUDGET)
        };
        let budget = budget.filter(|_| !early);
        let mut number = None;
        if let Some(budget) = budget {
            number = view.write_update(store, now, budget, scratch);
        }
        let fits = event.is_none() || taken + scratch.len() <= largest || self.state_gave_way;
        self.state_gave_way = !early && (budget.is_none() || !fits);
        if budget.is_none() || !fits {
            // What has no room beside the event, a value that cannot be split perhaps, comes with the next package.
            scratch.clear();
            view.empty_update(now, scratch);
            number = None;
        }
        self.bursts = self.hello && number.is_some() && view.has_more();
        number
    }
}

/// Appends a package that tells a client of ours why there is no session with it.
pub(in crate::endpoint) fn write_farewell(header: Header, update: &[u8], reason: &str, out: &mut Vec<u8>) {
    // An empty update and a reason always fit.
    let _ = PackageWriter::new(out, header, Body::Server { update })
        .map(|mut writer| writer.push_event(&farewell_event(reason), MAX_DATAGRAM));
}
