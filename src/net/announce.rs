//! Servers that are found in the local network: the answer to a question, and the question.
//!
//! A question is a datagram of fixed size to a multicast group; an answer goes back to who asked, and is never longer.
//! A server answers only in the networks it can be reached in, only who is in a private network, and only so often.
//!
//! Both begin with `MAGIC`, the version and a kind, then 8 random bytes of the question; in an answer follow 8 random
//! bytes of the server, its port and its name, all big endian.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket},
    time::Duration,
};

use socket2::{Domain, Protocol, Socket, Type};

use super::{
    clock,
    worker::{Shared, Worker},
};
use crate::endpoint::Bucket;

/// The group that questions go to: of those that stay within one site.
const GROUP: Ipv4Addr = Ipv4Addr::new(239, 255, 80, 71);
/// The port of all questions.
const PORT: u16 = 19_871;
const MAGIC: [u8; 7] = *b"PyGaSe\x01";
const ASK: u8 = b'?';
const ANSWER: u8 = b'!';
/// The size of every question.
const QUESTION: usize = 128;
/// Before the name in an answer.
const HEAD: usize = MAGIC.len() + 1 + 8 + 8 + 2;
/// The most bytes a name may have.
pub const MAX_NAME: usize = 64;
/// The most answers in a second.
const RATE: u32 = 20;
/// How long to wait for a question before looking whether to stop.
const LOOK: Duration = Duration::from_millis(200);

const _: () = assert!(HEAD + MAX_NAME <= QUESTION, "an answer is never longer than its question");

/// What came and what became of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AnnounceStats {
    /// Questions that were answered.
    pub answered: u64,
    /// Questions that were dropped: too many, or from outside, or no question at all.
    pub dropped: u64,
}

/// Answers for a server until it is dropped.
#[derive(Debug)]
pub struct Announcer(Worker<AnnounceStats>);

impl Announcer {
    /// Answers that a server of this name is at `server`, in the networks where it is. A name has at most
    /// [`MAX_NAME`] bytes.
    pub fn start(name: &str, server: SocketAddr) -> io::Result<Self> {
        if name.len() > MAX_NAME {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the name is too long"));
        }
        let ip = server.ip().to_canonical();
        let own = interfaces()?.into_iter().filter(|&own| ip.is_unspecified() || ip == IpAddr::from(own));
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
        // All servers of this machine listen on this port, and each gets each question.
        socket.set_reuse_address(true)?;
        let here = if cfg!(windows) { Ipv4Addr::UNSPECIFIED } else { GROUP };
        socket.bind(&SocketAddrV4::new(here, PORT).into())?;
        let mut joined =
            Err(io::Error::new(io::ErrorKind::AddrNotAvailable, "the server has no IPv4 address"));
        for own in own {
            joined = socket.join_multicast_v4(&GROUP, &own).or(joined);
        }
        joined?;
        let (questions, answers) = (UdpSocket::from(socket), sender()?);
        questions.set_read_timeout(Some(LOOK))?;
        let mut facts = random()?.to_vec();
        facts.extend(server.port().to_be_bytes());
        facts.extend_from_slice(name.as_bytes());
        let is_local = ip.is_loopback();
        let work = move |shared: &Shared<_>| run(&questions, &answers, &facts, is_local, shared);
        Worker::start("pygase-announce", work).map(Self)
    }

    /// What came so far.
    pub fn stats(&self) -> AnnounceStats {
        self.0.report()
    }

    /// Ends it.
    pub fn stop(&self) {
        self.0.stop();
    }
}

/// The thread: answers until told to stop.
fn run(
    questions: &UdpSocket,
    answers: &UdpSocket,
    facts: &[u8],
    is_local: bool,
    shared: &Shared<AnnounceStats>,
) {
    let mut bucket = Bucket::default();
    let mut datagram = [0; QUESTION + 1];
    while !shared.is_stopped() {
        let Ok((size, from)) = questions.recv_from(&mut datagram) else { continue };
        let question = datagram.get(..size).filter(|_| size == QUESTION).unwrap_or_default();
        let token = parse(ASK, question).map(|(token, _)| token);
        let fits = token.filter(|_| may_ask(from.ip(), is_local) && bucket.take(clock::now(), 1, RATE));
        let is_answered = fits.is_some_and(|token| {
            let mut answer = message(ANSWER, token);
            answer.extend_from_slice(facts);
            answers.send_to(&answer, from).is_ok()
        });
        shared.publish(|stats| {
            stats.answered += u64::from(is_answered);
            stats.dropped += u64::from(!is_answered);
        });
    }
}

/// A server that answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub address: SocketAddr,
    /// The same under all of its addresses.
    pub id: u64,
}

/// Asks for servers.
#[derive(Debug)]
pub struct Finder {
    socket: UdpSocket,
    interfaces: Vec<Ipv4Addr>,
    token: [u8; 8],
}

impl Finder {
    /// One that asks in all networks of this machine, or only in the one where it has this address.
    pub fn new(only: Option<Ipv4Addr>) -> io::Result<Self> {
        let interfaces = only.map_or_else(interfaces, |only| Ok(vec![only]))?;
        Ok(Self { socket: sender()?, interfaces, token: random()? })
    }

    /// Asks. OK if there was a network to ask in.
    pub fn ask(&self) -> io::Result<()> {
        let mut question = message(ASK, self.token);
        question.resize(QUESTION, 0);
        let mut asked = Err(io::ErrorKind::NetworkUnreachable.into());
        for own in &self.interfaces {
            let socket = socket2::SockRef::from(&self.socket);
            let sent = socket
                .set_multicast_if_v4(own)
                .and_then(|()| self.socket.send_to(&question, SocketAddrV4::new(GROUP, PORT)));
            asked = sent.map(|_| ()).or(asked);
        }
        asked
    }

    /// The next answer within this time.
    pub fn next(&self, patience: Duration) -> io::Result<Option<Found>> {
        let until = clock::now() + patience;
        let mut datagram = [0; QUESTION];
        loop {
            let left = until.saturating_sub(clock::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.socket.set_read_timeout(Some(left))?;
            if let Ok((size, from)) = self.socket.recv_from(&mut datagram)
                && let Some((token, rest)) = parse(ANSWER, datagram.get(..size).unwrap_or_default())
                && token == self.token
                && let Some((id, rest)) = rest.split_first_chunk()
                && let Some((port, name)) = rest.split_first_chunk()
                && let Ok(name) = str::from_utf8(name)
            {
                let address = SocketAddr::new(from.ip(), u16::from_be_bytes(*port));
                return Ok(Some(Found { name: name.into(), address, id: u64::from_be_bytes(*id) }));
            }
        }
    }
}

fn message(kind: u8, token: [u8; 8]) -> Vec<u8> {
    let mut message = MAGIC.to_vec();
    message.push(kind);
    message.extend(token);
    message
}

/// The question's random bytes, and what follows.
fn parse(kind: u8, datagram: &[u8]) -> Option<([u8; 8], &[u8])> {
    let (token, rest) = datagram.strip_prefix(&MAGIC)?.strip_prefix(&[kind])?.split_first_chunk()?;
    Some((*token, rest))
}

fn random() -> io::Result<[u8; 8]> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(bytes)
}

fn sender() -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.bind(&SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0).into())?;
    Ok(socket.into())
}

/// The IPv4 addresses of this machine.
fn interfaces() -> io::Result<Vec<Ipv4Addr>> {
    let own = super::local_addresses()?.into_iter();
    Ok(own.filter_map(|own| if let IpAddr::V4(v4) = own { Some(v4) } else { None }).collect())
}

/// Whether a question from this address is answered: where only this machine can play, only its own are.
fn may_ask(ip: IpAddr, is_local: bool) -> bool {
    ip.is_loopback() || !is_local && is_private(ip)
}

fn is_private(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V4(v4) if v4.is_private() || v4.is_loopback() || v4.is_link_local())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    /// An address that no other test has, here or in another process.
    fn local(test: u32) -> SocketAddr {
        let port = 20_000 + std::process::id() % 8_000 * 3 + test;
        SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port as u16)
    }

    fn found(finder: &Finder, local: SocketAddr, patience: Duration) -> Vec<Found> {
        let until = clock::now() + patience;
        let left = || until.saturating_sub(clock::now());
        std::iter::from_fn(|| finder.next(left()).unwrap()).filter(|found| found.address == local).collect()
    }

    #[test]
    fn every_server_of_this_machine_is_found_by_its_name() {
        let (long, local) = ("ü".repeat(MAX_NAME / 2), local(0));
        let servers = ["anna", &long].map(|name| Announcer::start(name, local).unwrap());
        let finder = Finder::new(Some(Ipv4Addr::LOCALHOST)).unwrap();
        let mut names = HashMap::new();
        for _ in 0..20 {
            finder.ask().unwrap();
            names.extend(
                found(&finder, local, Duration::from_millis(200))
                    .into_iter()
                    .map(|found| (found.id, found.name)),
            );
            if names.len() == 2 {
                break;
            }
        }
        let mut names: Vec<_> = names.into_values().collect();
        names.sort();
        assert_eq!(names, ["anna", &long]);
        assert!(Announcer::start(&long.repeat(2), local).is_err());
        servers.iter().for_each(Announcer::stop);
        assert!(servers.iter().all(|server| server.stats().answered > 0));
    }

    #[test]
    fn too_many_questions_and_wrong_ones_get_no_answer() {
        let local = local(1);
        let server = Announcer::start("busy", local).unwrap();
        let finder = Finder::new(Some(Ipv4Addr::LOCALHOST)).unwrap();
        let begun = clock::now();
        for _ in 0..300 {
            finder.ask().unwrap();
        }
        finder.socket.send_to(b"PyGaSe\x01?12345678", SocketAddrV4::new(GROUP, PORT)).unwrap();
        let answers = found(&finder, local, Duration::from_millis(300)).len();
        let seconds = clock::now().abs_diff(begun).as_secs_f64();
        assert!(answers >= 1);
        assert!(answers as f64 <= (seconds + 1.0) * f64::from(RATE) + 1.0, "{answers} in {seconds} s");
        server.stop();
        let stats = server.stats();
        assert!(stats.dropped > 0 && stats.answered >= answers as u64, "{stats:?}");
    }

    #[test]
    fn only_private_networks_are_answered_and_never_with_more_than_they_sent() {
        for (address, by_any, by_local) in [
            ("127.0.0.1", true, true),
            ("10.1.2.3", true, false),
            ("192.168.0.9", true, false),
            ("172.31.255.1", true, false),
            ("169.254.1.1", true, false),
            ("172.32.0.1", false, false),
            ("8.8.8.8", false, false),
            ("2001:db8::1", false, false),
        ] {
            let ip = address.parse().unwrap();
            assert_eq!((may_ask(ip, false), may_ask(ip, true)), (by_any, by_local), "{address}");
        }
        let local = local(2);
        let server = Announcer::start(&"x".repeat(MAX_NAME), local).unwrap();
        let finder = Finder::new(Some(Ipv4Addr::LOCALHOST)).unwrap();
        finder.socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        let mut answer = [0; QUESTION];
        let size = (0..20).find_map(|_| {
            finder.ask().unwrap();
            std::iter::from_fn(|| finder.socket.recv(&mut answer).ok()).find(|size| *size == HEAD + MAX_NAME)
        });
        assert_eq!(size, Some(90));
        server.stop();
    }
}
