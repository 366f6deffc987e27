//! (stub)
use super::WireError;
/// stub
pub fn check_update(_: &[u8]) -> Result<(), WireError> { Ok(()) }
/// stub
pub fn check_event(_: &[u8]) -> Result<(), WireError> { Ok(()) }
/// stub
pub fn event(_: &str, _: &[u8], _: &[u8]) -> Vec<u8> { Vec::new() }
