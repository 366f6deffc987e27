//! The same where there is no eventfd: event loops cannot wait there, only threads can.

/// Nothing an event loop could wait for.
#[derive(Debug, Default)]
pub(super) struct Signal;

#[allow(clippy::unused_self, reason = "the other platform's has something to do")]
impl Signal {
    pub(super) fn raise(&self) {}

    pub(super) fn lower(&self) {}

    pub(super) fn as_raw_fd(&self) -> Option<i32> {
        None
    }
}
