//! What the games have in their state in which a server is measured: the benchmarks take this file as well.

use pygase::wire::msgpack;

/// An update with the place of some players.
pub(crate) fn players(numbers: impl ExactSizeIterator<Item = u32>, place: u32) -> Vec<u8> {
    let mut update = Vec::new();
    msgpack::write_map_len(&mut update, 1);
    msgpack::write_str(&mut update, "players");
    msgpack::write_map_len(&mut update, numbers.len() as u32);
    for number in numbers {
        msgpack::write_uint(&mut update, u64::from(number));
        msgpack::write_map_len(&mut update, 3);
        msgpack::write_str(&mut update, "name");
        msgpack::write_str(&mut update, "somebody");
        for (name, value) in [("x", place), ("y", 7 * place)] {
            msgpack::write_str(&mut update, name);
            msgpack::write_uint(&mut update, u64::from(value));
        }
    }
    update
}
