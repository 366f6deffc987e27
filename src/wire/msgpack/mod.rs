//! msgpack as PyGaSe speaks it: a reader of tokens, the check of untrusted bytes, one spelling for keys, writing.
//!
//! Nothing here builds values: what reads a token decides what to make of it. Nothing here may panic,
//! recurse, or allocate by a claimed length, whatever the bytes are.

mod check;
mod key;
mod read;
mod timestamp;
mod write;

#[cfg(test)]
mod tests;

pub use check::{
    EventParts, Limits, check, check_event, check_update, event_parts, peek_time_order, update_label,
    update_time_order,
};
pub use key::canonical_key;
pub use read::{Reader, Token, first_uint};
pub use timestamp::{TIMESTAMP_TYPE, Timestamp};
pub use write::{
    event, write_array_len, write_bin, write_bool, write_f32, write_f64, write_int, write_label,
    write_map_len, write_nil, write_str, write_time_order_fixed, write_timestamp, write_uint,
};
