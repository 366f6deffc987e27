//! What a package may be.

/// The largest datagram either side accepts, in bytes.
pub const MAX_DATAGRAM: usize = 2048;
/// The size a whole datagram aims at, in bytes: under the usual path MTU, so that nothing is fragmented.
pub const TARGET_DATAGRAM: usize = 1200;
/// The deepest nesting of arrays and maps accepted from the network.
pub const MAX_DEPTH: usize = 100;
/// The most values (keys included) accepted in one msgpack value from the network.
pub const MAX_NODES: usize = 2048;
/// How many events an unmodified peer puts in a package, and is sent.
pub const EVENTS_PER_PACKAGE: usize = 5;
/// The value that deletes a key when an update is merged (PyGaSe's `TO_DELETE`).
pub const TO_DELETE: [u8; 4] = [0xd2, 0x81, 0xe5, 0xba];
/// [`TO_DELETE`] as it is in an update: a msgpack bin 8 of four bytes.
pub const TO_DELETE_MSGPACK: [u8; 6] = [0xc4, 0x04, 0xd2, 0x81, 0xe5, 0xba];
/// The key of the time order in a game state or update.
pub const TIME_ORDER_KEY: &str = "time_order";
