//! What a connection takes of a server's memory, and what those leave behind that have gone. `make soak-hour` lets them go for
//! an hour.

use std::time::Duration;

use pygase::connection::Config;
use pygase::endpoint::ServerConfig;
use pygase_fuzz::crowd::{Game, bytes_each, joins};

/// Most that the core may allocate for a connection, in bytes; with what Python and the allocator add it stays below
/// 4 KiB.
const MOST: usize = 2560;

#[test]
fn a_connection_takes_little() {
    for (are_ours, latency) in [(false, 0), (false, 150), (true, 0), (true, 150)] {
        let latency = Duration::from_millis(latency);
        let bytes = bytes_each(Game { players: 20, are_ours, latency }, Duration::ZERO);
        assert!(bytes <= MOST, "{bytes} bytes with a latency of {latency:?}, ours: {are_ours}");
    }
}

#[test]
fn of_a_client_that_is_gone_little_is_kept_until_it_is_forgotten() {
    for are_ours in [false, true] {
        let game = Game { players: 20, are_ours, latency: Duration::from_millis(20) };
        let bytes = bytes_each(game, Duration::from_secs(20));
        assert!(bytes <= 2 * MOST, "{bytes} bytes, ours: {are_ours}");
    }
}

#[test]
fn a_large_state_adds_no_more_than_a_bit_for_each_leaf() {
    for are_ours in [false, true] {
        let each = |players| bytes_each(Game { players, are_ours, latency: Duration::ZERO }, Duration::ZERO);
        let (small, large) = (each(20), each(420));
        let leaves = 3 * (420 - 20);
        assert!(large <= small + leaves / 8, "{small} bytes and then {large}, ours: {are_ours}");
    }
}

#[test]
fn joins_leave_nothing_behind() {
    let second = Duration::from_secs(1);
    let connection = Config { timeout: second, ..Config::default() };
    let config = ServerConfig { connection, idle_removal: second * 3, ..ServerConfig::default() };
    let bytes = joins(second * 90, 20, config);
    assert!(bytes[2] - bytes[0] < bytes[0] / 100, "{bytes:?}");
}
