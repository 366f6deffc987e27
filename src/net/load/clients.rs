//! The clients, and the thread that drives them.

use std::{cell::RefCell, cmp::Reverse, collections::BinaryHeap, rc::Rc, sync::Arc, time::Duration};

use tokio::{
    runtime::Builder,
    task::{self, LocalSet},
    time::{Instant, sleep_until},
};

use super::{
    Ages, LoadOptions, LoadReport, StateClock,
    ports::{Buffers, Opening, Port},
};
use crate::{
    connection::{Config, Connection, Receipt},
    endpoint::MAX_CLIENT_EVENT,
    net::{clock, worker::Shared},
    wire::{Body, Kind, Package, Sqn, WireError, limits, msgpack},
};

/// How late a client may be with a package before the generator counts itself as late.
const LATE: Duration = Duration::from_millis(10);
/// Of so many clients, one looks how old its state is.
const AGE_SAMPLE: usize = 64;
/// Packages sent in a row before the clients listen again.
const SENDS_PER_TURN: usize = 32;

/// A moment of the clock, for tokio.
fn moment(at: Duration) -> Instant {
    Instant::from_std(clock::instant(at))
}

/// The thread: starts the clients one by one, measures, and publishes what they see.
pub(super) fn run(sockets: Opening, options: &LoadOptions, shared: &Shared<LoadReport>) {
    const PUBLISH: Duration = Duration::from_millis(250);
    let Ok(runtime) = Builder::new_current_thread().enable_all().build() else { return };
    LocalSet::new().block_on(&runtime, async {
        let Ok(ports) = sockets.ports() else { return };
        let begin = clock::now();
        let ramp = Duration::from_secs_f64(options.clients as f64 / options.ramp.max(1.0));
        let crowd = Rc::new(RefCell::new(Crowd::new(options, begin, ramp)));
        let ports: Rc<[Port]> = ports.into();
        for index in 0..ports.len() {
            task::spawn_local(listen(index, Rc::clone(&ports), Rc::clone(&crowd)));
        }
        task::spawn_local(talk(Rc::clone(&ports), Rc::clone(&crowd)));
        let (from, until) = (begin + ramp, begin + ramp + options.measure);
        while clock::now() < until && !shared.is_stopped() {
            let now = clock::now();
            let is_measuring = now >= from;
            {
                let report = &mut crowd.borrow_mut().report;
                report.measuring = is_measuring;
                report.measured = now.saturating_sub(from);
                shared.publish(|published| published.clone_from(report));
            }
            let next = if is_measuring { until } else { from };
            sleep_until(moment((now + PUBLISH).min(next.max(now)))).await;
        }
        let report = &mut crowd.borrow_mut().report;
        report.measured = clock::now().min(until).saturating_sub(from);
        shared.publish(|published| published.clone_from(report));
    });
}

/// Lets each client send what it has to send, on its grid. One timer for all of them: with one each, timers would take
/// most of the generator's time.
async fn talk(ports: Rc<[Port]>, crowd: Rc<RefCell<Crowd>>) {
    loop {
        let Some(next) = crowd.borrow_mut().send(&ports) else { return };
        match next {
            Next::At(at) => sleep_until(moment(at)).await,
            Next::Turn => task::yield_now().await,
        }
    }
}

/// Takes in what comes for the clients of a port, as long as the load is on.
async fn listen(index: usize, ports: Rc<[Port]>, crowd: Rc<RefCell<Crowd>>) {
    let Some(port) = ports.get(index) else { return };
    while port.readable().await.is_ok() {
        crowd.borrow_mut().receive(port);
    }
}

/// When the clients are to send again.
enum Next {
    /// When this moment has come.
    At(Duration),
    /// When what came was taken in.
    Turn,
}

/// All clients, with what they have in common.
struct Crowd {
    clients: Vec<Client>,
    /// When each of them sends next, those that have not started too.
    due: BinaryHeap<Reverse<(Duration, usize)>>,
    event: Option<(Arc<[u8]>, Duration)>,
    clock: Option<StateClock>,
    report: LoadReport,
    buffers: Buffers,
    out: Vec<u8>,
}

impl Crowd {
    fn new(options: &LoadOptions, begin: Duration, ramp: Duration) -> Self {
        let start_of = |index| begin + ramp.mul_f64(index as f64 / options.clients.max(1) as f64);
        let interval = |rate: f64| Duration::from_secs_f64(1.0 / rate.max(1e-3));
        let clock = options.clock.clone();
        let ages = clock.as_ref().map(|it| Ages::new(it, begin, clock::wall())).unwrap_or_default();
        let report = LoadReport { packages: vec![0; options.clients], ages, ..LoadReport::default() };
        Self {
            clients: Vec::with_capacity(options.clients),
            due: (0..options.clients).map(|index| Reverse((start_of(index), index))).collect(),
            event: options.event.as_ref().map(|(bytes, rate)| (Arc::clone(bytes), interval(*rate))),
            clock,
            report,
            buffers: Buffers::default(),
            out: Vec::new(),
        }
    }

    /// Sends what is due; None without clients.
    fn send(&mut self, ports: &[Port]) -> Option<Next> {
        for _ in 0..SENDS_PER_TURN {
            let &Reverse((at, index)) = self.due.peek()?;
            if at > clock::now() {
                return Some(Next::At(at));
            }
            self.due.pop();
            // They start in order.
            if index == self.clients.len() {
                let clock = self.clock.clone().filter(|_| index.is_multiple_of(AGE_SAMPLE));
                self.clients.push(Client::new(at, clock));
                self.report.started += 1;
            }
            let client = self.clients.get_mut(index)?;
            let port = ports.get(index / ports.first()?.clients())?;
            let send = |datagram: &[u8]| port.send(index, datagram).is_ok();
            let next = client.send(self.event.as_ref(), &mut self.report, &mut self.out, send);
            self.due.push(Reverse((next, index)));
        }
        Some(Next::Turn)
    }

    /// Receives what came to a port.
    fn receive(&mut self, port: &Port) {
        let Self { clients, report, buffers, .. } = self;
        port.receive(buffers, |index, datagram| match index {
            Some(index) => {
                if let Some(client) = clients.get_mut(index) {
                    client.receive(index, datagram, report);
                }
            }
            None => report.strangers += 1,
        });
    }
}

/// One client: what a player's machine says on the wire.
struct Client {
    connection: Connection,
    time_order: Sqn,
    next_send: Duration,
    next_event: Duration,
    /// Where to look how old the state is, and the moment it said last.
    clock: Option<(StateClock, Option<f64>)>,
    answered: bool,
    lost: u64,
}

impl Client {
    fn new(start: Duration, clock: Option<StateClock>) -> Self {
        Self {
            connection: Connection::new(Config::default()),
            time_order: Sqn::ZERO,
            next_send: start,
            next_event: start,
            clock: clock.map(|clock| (clock, None)),
            answered: false,
            lost: 0,
        }
    }

    /// Sends a package; returns when the next one is due.
    fn send(
        &mut self,
        event: Option<&(Arc<[u8]>, Duration)>,
        report: &mut LoadReport,
        out: &mut Vec<u8>,
        send: impl FnOnce(&[u8]) -> bool,
    ) -> Duration {
        let now = clock::now();
        if report.measuring && now.saturating_sub(self.next_send) > LATE {
            report.late_sends += 1;
        }
        self.connection.handle_timeout(now);
        if let Some((event, interval)) = event
            && self.answered
        {
            // What has no room in this package, and was not sent while nothing answered, is left out.
            self.next_event =
                self.next_event.max(now.saturating_sub(*interval * limits::EVENTS_PER_PACKAGE as u32));
            while now >= self.next_event {
                self.next_event += *interval;
                report.events_sent += u64::from(report.measuring);
                // Events of a chosen size are the caller's to check; one that never fits is not sent.
                let _ = self.connection.dispatch(Arc::clone(event), None, MAX_CLIENT_EVENT);
            }
        }
        out.clear();
        let body = Body::Client { time_order: self.time_order };
        let limit = limits::MAX_DATAGRAM;
        if self.connection.write_package(now, body, limit, limits::EVENTS_PER_PACKAGE, out).is_ok()
            && send(out)
            && report.measuring
        {
            report.sent += 1;
            report.bytes_out += out.len() as u64;
        }
        let lost = self.connection.stats.lost;
        report.lost += if report.measuring { lost - self.lost } else { 0 };
        self.lost = lost;
        let interval = self.connection.interval(now);
        let next = self.next_send + interval;
        self.next_send = if next > now { next } else { now + interval };
        self.next_send
    }

    fn receive(&mut self, index: usize, datagram: &[u8], report: &mut LoadReport) {
        let now = clock::now();
        // No more of it is read than the protocol asks for: whether the game state in it is sound is for clients
        // to check that have a use for it.
        let Ok((package, update, time_order)) = read(datagram) else {
            report.malformed += 1;
            return;
        };
        if !self.answered {
            self.answered = true;
            report.answered += 1;
        }
        let receipt = self.connection.receive(now, &package);
        while self.connection.poll_event().is_some() {}
        if receipt == Receipt::Dropped {
            report.duplicate += 1;
            return;
        }
        if time_order.newer_than(self.time_order) {
            report.joined += usize::from(self.time_order == Sqn::ZERO);
            self.time_order = time_order;
            if let Some((clock, made)) = &mut self.clock {
                *made = clock.read(update).or(*made);
            }
        }
        if report.measuring {
            if let Some((_, Some(made))) = self.clock {
                report.ages.note(now, made);
            }
            if let Some(count) = report.packages.get_mut(index) {
                *count += 1;
            }
            report.bytes_in += datagram.len() as u64;
            report.events_received += package.events().count() as u64;
            if let Some(round_trip) = self.connection.take_round_trip() {
                report.count_rtt(round_trip);
            }
        }
    }
}

/// Takes a server's package apart: also its update, and the time order of that.
fn read(datagram: &[u8]) -> Result<(Package<'_>, &[u8], Sqn), WireError> {
    let package = Package::split(Kind::Server, datagram)?;
    package.events().try_for_each(msgpack::check_event)?;
    let Body::Server { update } = package.body else { return Err(WireError::NotAnUpdate("it has none")) };
    Ok((package, update, msgpack::peek_time_order(update)?))
}
