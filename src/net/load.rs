//! Many clients in one thread, to see what a server holds: real sockets, the real protocol, no game.
//!
//! Each client numbers, acknowledges and reports time orders as an original one does, and sends events at a
//! chosen rate. It keeps no copy of the state: what is measured is the server.

mod age;

use std::{
    cell::RefCell, cmp::Reverse, collections::BinaryHeap, io, net::IpAddr, rc::Rc, sync::Arc, time::Duration,
};

use tokio::{
    net::UdpSocket,
    runtime::Builder,
    task::{self, LocalSet},
    time::{Instant, sleep_until},
};

pub use age::{Ages, StateClock};

use super::{
    clock,
    error::NetError,
    udp,
    worker::{Shared, Worker},
};
use crate::{
    connection::{Config, Connection, Receipt},
    wire::{Body, Kind, Package, Sqn, limits, msgpack},
};

/// Width of a bar of the round trip histogram.
const RTT_STEP: Duration = Duration::from_micros(100);
/// Bars of it; the last one stands for all that is longer.
const RTT_STEPS: usize = 20_000;
/// How late a client may be with a package before the generator counts itself as late.
const LATE: Duration = Duration::from_millis(10);
/// Of so many clients, one looks how old its state is.
const AGE_SAMPLE: usize = 64;
/// Packages sent in a row before the clients listen again.
const SENDS_PER_TURN: usize = 32;

/// What to do to a server.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadOptions {
    /// How many clients.
    pub clients: usize,
    /// How many of them start per second.
    pub ramp: f64,
    /// How long to measure, from the moment all have started.
    pub measure: Duration,
    /// A msgpacked event and how often each client sends it per second.
    pub event: Option<(Arc<[u8]>, f64)>,
    /// What tells how old a state is.
    pub clock: Option<StateClock>,
    /// Whether the server may be at an address that is neither loopback nor private.
    pub anywhere: bool,
}

/// What the clients have seen so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LoadReport {
    /// Clients that have started.
    pub started: usize,
    /// Clients that a server has answered.
    pub answered: usize,
    /// Clients that have been given a game state.
    pub joined: usize,
    /// Whether the figures below are being taken.
    pub measuring: bool,
    /// Time measured so far.
    pub measured: Duration,
    /// Packages each client received while measured.
    pub packages: Vec<u64>,
    /// Round trips, counted by [`LoadReport::rtt_quantile`]'s resolution of 0.1 ms.
    rtt: Vec<u32>,
    /// Packages sent while measured.
    pub sent: u64,
    /// Bytes received while measured.
    pub bytes_in: u64,
    /// Bytes sent while measured.
    pub bytes_out: u64,
    /// Own packages that were not acknowledged in time.
    pub lost: u64,
    /// Packages that came twice.
    pub duplicate: u64,
    /// Datagrams that were no packages.
    pub malformed: u64,
    /// Events sent while measured.
    pub events_sent: u64,
    /// Events received while measured.
    pub events_received: u64,
    /// How old the state was that some of the clients held, whenever a package came in.
    pub ages: Ages,
    /// Packages the generator itself sent more than 10 ms late: it is the bottleneck where these are many.
    pub late_sends: u64,
}

impl LoadReport {
    /// The round trip time that a share `quantile` (0.0..=1.0) of the packages stayed below; `None` without any.
    pub fn rtt_quantile(&self, quantile: f64) -> Option<Duration> {
        let all: u64 = self.rtt.iter().map(|&count| u64::from(count)).sum();
        let wanted = (all as f64 * quantile).ceil().max(1.0) as u64;
        let mut seen = 0;
        let bar = self.rtt.iter().position(|&count| {
            seen += u64::from(count);
            seen >= wanted
        })?;
        Some(RTT_STEP * (bar as u32 + 1))
    }

    /// How many round trips took how many tenths of a millisecond, without those that none took.
    pub fn rtt_histogram(&self) -> impl Iterator<Item = (usize, u32)> + '_ {
        self.rtt.iter().copied().enumerate().filter(|&(_, count)| count > 0)
    }

    fn count_rtt(&mut self, round_trip: Duration) {
        if self.rtt.is_empty() {
            self.rtt = vec![0; RTT_STEPS];
        }
        let bar = (round_trip.as_nanos() / RTT_STEP.as_nanos()) as usize;
        if let Some(count) = self.rtt.get_mut(bar.min(RTT_STEPS - 1)) {
            *count += 1;
        }
    }
}

/// A load that is on, until its time is over or it is stopped or dropped.
#[derive(Debug)]
pub struct Load(Worker<LoadReport>);

impl Load {
    /// Starts clients of the server at `host`:`port`, in a thread of their own.
    pub fn start(host: &str, port: u16, options: LoadOptions) -> Result<Self, NetError> {
        let remote = udp::resolve(host, port)?.into_iter().map(udp::reachable).next();
        let failed = |source| NetError::Io { action: "connect to", host: host.to_owned(), port, source };
        let remote = remote.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
        if !options.anywhere && !is_at_home(remote.ip()) {
            return Err(NetError::NotAtHome { host: host.to_owned(), port });
        }
        // All sockets at once, so that too low a limit on open files is an error here.
        let sockets: Vec<_> =
            (0..options.clients).map(|_| udp::connect(remote)).collect::<Result<_, _>>().map_err(failed)?;
        let work = move |shared: &Shared<LoadReport>| run(sockets, &options, shared);
        Ok(Self(Worker::start("pygase-load", work).map_err(failed)?))
    }

    /// What the clients have seen so far, at most a quarter of a second ago.
    pub fn report(&self) -> LoadReport {
        self.0.report()
    }

    /// Whether all is measured, or it was stopped.
    pub fn is_over(&self) -> bool {
        self.0.is_over()
    }

    /// Ends it, over or not.
    pub fn stop(&self) {
        self.0.stop();
    }
}

/// Whether an address belongs to this machine or to a private network.
fn is_at_home(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

/// A moment of the clock, for tokio.
fn moment(at: Duration) -> Instant {
    Instant::from_std(clock::instant(at))
}

/// The thread: starts the clients one by one, measures, and publishes what they see.
fn run(sockets: Vec<std::net::UdpSocket>, options: &LoadOptions, shared: &Shared<LoadReport>) {
    const PUBLISH: Duration = Duration::from_millis(250);
    let Ok(runtime) = Builder::new_current_thread().enable_all().build() else { return };
    let clients = LocalSet::new();
    let ages =
        options.clock.as_ref().map(|it| Ages::new(it, clock::now(), clock::wall())).unwrap_or_default();
    let packages = vec![0; sockets.len()];
    let report = Rc::new(RefCell::new(LoadReport { packages, ages, ..LoadReport::default() }));
    clients.block_on(&runtime, async {
        let begin = clock::now();
        let ramp = Duration::from_secs_f64(options.clients as f64 / options.ramp.max(1.0));
        let start_of = |index| begin + ramp.mul_f64(index as f64 / options.clients.max(1) as f64);
        let starts =
            sockets.into_iter().enumerate().map(|(index, socket)| (start_of(index), socket)).collect();
        task::spawn_local(talk(starts, options.clone(), Rc::clone(&report)));
        let (from, until) = (begin + ramp, begin + ramp + options.measure);
        while clock::now() < until && !shared.is_stopped() {
            let now = clock::now();
            {
                let mut report = report.borrow_mut();
                report.measuring = now >= from;
                report.measured = now.saturating_sub(from);
                shared.publish(|published| published.clone_from(&report));
            }
            let next = if report.borrow().measuring { until } else { from };
            sleep_until(moment((now + PUBLISH).min(next.max(now)))).await;
        }
        let mut report = report.borrow_mut();
        report.measured = clock::now().min(until).saturating_sub(from);
        shared.publish(|published| published.clone_from(&report));
    });
}

/// Starts each client at its time and sends what it has to send, on its grid. One timer for all of them: with one
/// each, timers would take most of the generator's time.
async fn talk(
    starts: Vec<(Duration, std::net::UdpSocket)>,
    options: LoadOptions,
    report: Rc<RefCell<LoadReport>>,
) {
    let buffer = Rc::new(RefCell::new([0; limits::MAX_DATAGRAM]));
    let mut due: BinaryHeap<_> =
        starts.iter().enumerate().map(|(index, (at, _))| Reverse((*at, index))).collect();
    let mut clients = Vec::with_capacity(starts.len());
    let mut starts = starts.into_iter();
    let mut in_a_row = 0;
    while let Some(&Reverse((at, index))) = due.peek() {
        if at > clock::now() {
            sleep_until(moment(at)).await;
            in_a_row = 0;
            continue;
        }
        due.pop();
        // They start in order.
        if index == clients.len()
            && let Some((at, socket)) = starts.next()
        {
            let Ok(socket) = UdpSocket::from_std(socket) else { return };
            let client = Client::new(index, Rc::clone(&report), &options, at);
            let client = Rc::new((socket, RefCell::new(client)));
            task::spawn_local(listen(Rc::clone(&client), Rc::clone(&buffer)));
            clients.push(client);
            report.borrow_mut().started += 1;
        }
        let Some((socket, client)) = clients.get(index).map(Rc::as_ref) else { return };
        due.push(Reverse((client.borrow_mut().send(socket), index)));
        in_a_row += 1;
        if in_a_row == SENDS_PER_TURN {
            task::yield_now().await;
            in_a_row = 0;
        }
    }
}

/// Takes in what comes for a client, as long as the load is on.
async fn listen(client: Rc<(UdpSocket, RefCell<Client>)>, buffer: Rc<RefCell<[u8; limits::MAX_DATAGRAM]>>) {
    let (socket, client) = &*client;
    while socket.readable().await.is_ok() {
        let buffer = &mut *buffer.borrow_mut();
        while let Ok(size) = socket.try_recv(buffer) {
            client.borrow_mut().receive(buffer.get(..size).unwrap_or_default());
        }
    }
}

/// One client: what a player's machine says on the wire.
struct Client {
    index: usize,
    report: Rc<RefCell<LoadReport>>,
    connection: Connection,
    time_order: Sqn,
    next_send: Duration,
    event: Option<(Arc<[u8]>, Duration)>,
    next_event: Duration,
    /// Where to look how old the state is, and the moment it said last.
    clock: Option<(StateClock, Option<f64>)>,
    answered: bool,
    lost: u64,
}

impl Client {
    fn new(index: usize, report: Rc<RefCell<LoadReport>>, options: &LoadOptions, start: Duration) -> Self {
        let event = options.event.clone();
        let event = event.map(|(bytes, rate)| (bytes, Duration::from_secs_f64(1.0 / rate.max(1e-3))));
        let clock =
            options.clock.clone().filter(|_| index.is_multiple_of(AGE_SAMPLE)).map(|clock| (clock, None));
        Self {
            index,
            report,
            connection: Connection::new(Config::default()),
            time_order: Sqn::ZERO,
            next_send: start,
            event,
            next_event: start,
            clock,
            answered: false,
            lost: 0,
        }
    }

    /// Sends a package; returns when the next one is due.
    fn send(&mut self, socket: &UdpSocket) -> Duration {
        let now = clock::now();
        let report = &mut *self.report.borrow_mut();
        if report.measuring && now.saturating_sub(self.next_send) > LATE {
            report.late_sends += 1;
        }
        self.connection.handle_timeout(now);
        if let Some((event, interval)) = &self.event
            && self.answered
        {
            // What has no room in this package, and was not sent while nothing answered, is left out.
            self.next_event =
                self.next_event.max(now.saturating_sub(*interval * limits::EVENTS_PER_PACKAGE as u32));
            while now >= self.next_event {
                self.next_event += *interval;
                report.events_sent += u64::from(report.measuring);
                // Events of a chosen size are the caller's to check; one that never fits is not sent.
                let _ = self.connection.dispatch(Arc::clone(event), None, crate::endpoint::MAX_CLIENT_EVENT);
            }
        }
        let mut out = Vec::with_capacity(64);
        let body = Body::Client { time_order: self.time_order };
        let limit = limits::MAX_DATAGRAM;
        if self.connection.write_package(now, body, limit, limits::EVENTS_PER_PACKAGE, &mut out).is_ok()
            && socket.try_send(&out).is_ok()
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

    fn receive(&mut self, datagram: &[u8]) {
        let now = clock::now();
        let report = &mut *self.report.borrow_mut();
        let Ok(package) = Package::decode(Kind::Server, datagram) else {
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
        if let Body::Server { update } = package.body
            && let Ok(time_order) = msgpack::update_time_order(update)
            && time_order.newer_than(self.time_order)
        {
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
            if let Some(count) = report.packages.get_mut(self.index) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn home_is_this_machine_and_private_networks() {
        for home in
            ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "::1", "fd00::1", "::ffff:10.0.0.1"]
        {
            assert!(is_at_home(home.parse().unwrap()), "{home}");
        }
        for away in ["8.8.8.8", "172.32.0.1", "0.0.0.0", "2001:db8::1", "::ffff:8.8.8.8"] {
            assert!(!is_at_home(away.parse().unwrap()), "{away}");
        }
    }

    #[test]
    fn a_quantile_is_the_upper_edge_of_its_bar() {
        let mut report = LoadReport::default();
        assert_eq!(report.rtt_quantile(0.5), None);
        for tenths in 0..100 {
            report.count_rtt(RTT_STEP * tenths);
        }
        report.count_rtt(Duration::from_secs(60));
        assert_eq!(report.rtt_quantile(0.5), Some(RTT_STEP * 51));
        assert_eq!(report.rtt_quantile(1.0), Some(RTT_STEP * RTT_STEPS as u32));
    }
}
