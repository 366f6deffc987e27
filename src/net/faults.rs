//! Errors that a test wants the system to have reported: compiled into tests alone.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::net::UdpSocket;

use super::udp::Call;

/// By port of the socket: what the next calls of each kind fail with.
static FAULTS: Mutex<Option<Faults>> = Mutex::new(None);

type Faults = HashMap<(u16, Call), VecDeque<i32>>;

fn faults() -> MutexGuard<'static, Option<Faults>> {
    FAULTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The error this call is to fail with, if any.
pub(super) fn injected(socket: &UdpSocket, call: Call) -> Option<io::Error> {
    let mut faults = faults();
    let key = (socket.local_addr().ok()?.port(), call);
    faults.as_mut()?.get_mut(&key)?.pop_front().map(io::Error::from_raw_os_error)
}

/// Lets the next calls of the socket with this port fail.
pub(super) fn inject(port: u16, call: Call, errors: impl Iterator<Item = i32>) {
    faults().get_or_insert_default().entry((port, call)).or_default().extend(errors);
}

/// How many of them have not come up yet.
fn left(port: u16, call: Call) -> usize {
    faults().as_ref().and_then(|faults| faults.get(&(port, call))).map_or(0, VecDeque::len)
}

#[cfg(target_os = "linux")]
mod tests {
    use std::sync::Arc;
    use std::thread;
    use std::time::Duration;

    use super::*;
    use crate::ClientConnection;
    use crate::connection::Status;
    use crate::endpoint::{ServerConfig, ServerEvent};
    use crate::net::{Inbox, Notice, SocketStats, UdpClient, UdpServer, clock};
    use crate::state::Store;
    use crate::wire::Sqn;

    const ENETUNREACH: i32 = 101;
    const EHOSTUNREACH: i32 = 113;
    const EPERM: i32 = 1;
    const ENOBUFS: i32 = 105;
    const EMSGSIZE: i32 = 90;
    const EINTR: i32 = 4;
    const ECONNREFUSED: i32 = 111;
    /// What Windows makes of a closed port.
    const ECONNRESET: i32 = 104;
    const ALL: [i32; 8] =
        [ENETUNREACH, EHOSTUNREACH, EPERM, ENOBUFS, EMSGSIZE, EINTR, ECONNREFUSED, ECONNRESET];

    fn wait(what: &str, condition: impl Fn() -> bool) {
        let start = clock::now();
        while !condition() {
            assert!(clock::now().abs_diff(start) < Duration::from_secs(20), "{what}");
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// What went wrong so far.
    fn troubles(stats: &SocketStats) -> u64 {
        stats.send_failed + stats.send_buffer_full + stats.refused + stats.receive_failed
    }

    #[test]
    fn whatever_the_system_refuses_is_counted_and_play_goes_on() {
        let store = Arc::new(Mutex::new(Store::new(Sqn::new(1), b"\x81\xa1x\x01").unwrap()));
        let inbox = Arc::new(Inbox::new());
        let config = ServerConfig::default();
        let server = UdpServer::start("127.0.0.1", 0, config, store, Arc::clone(&inbox), Vec::new()).unwrap();
        let connection = Arc::new(Mutex::new(ClientConnection::default()));
        let port = server.local_addr().port();
        let client = UdpClient::start("127.0.0.1", port, Arc::clone(&connection), Arc::default()).unwrap();
        let mut address = None;
        wait("no client came", || server.stats().gauges.connections == 1);
        let mut notices = Vec::new();
        inbox.drain(&mut notices);
        for notice in notices {
            if let Notice::Server(ServerEvent::Connected(peer)) = notice {
                address = Some(peer.address());
            }
        }
        let client_port = address.expect("a connection").port();
        let status = || connection.lock().unwrap().connection().status();
        let received = || connection.lock().unwrap().connection().stats.received;
        let sides: [(u16, &dyn Fn() -> SocketStats); 2] =
            [(port, &|| server.stats().socket), (client_port, &|| client.stats())];
        for (port, stats) in sides {
            for call in [Call::Send, Call::Receive] {
                for error in ALL {
                    let before = stats();
                    inject(port, call, std::iter::repeat_n(error, 5));
                    wait("no call fails", || left(port, call) == 0);
                    // A server tries once more, once, whether it is that datagrams may not be cut.
                    let tried_again = u64::from((call, error) == (Call::Send, EMSGSIZE));
                    // An interrupted call to receive is simply made again.
                    if (call, error) != (Call::Receive, EINTR) {
                        wait("not counted", || troubles(&stats()) >= troubles(&before) + 5 - tried_again);
                    }
                    let heard = received();
                    wait("play does not go on", || received() > heard + 3);
                    assert_eq!(status(), Status::Connected, "after error {error} of {call:?}");
                }
            }
        }
        assert_eq!((server.stats().gauges.connections, server.stats().socket.panics), (1, 0));
    }
}
