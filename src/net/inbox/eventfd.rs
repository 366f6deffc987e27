//! How an event loop learns that something waits: an eventfd, on Linux.

use std::os::fd::{AsRawFd, OwnedFd};

use rustix::event::{EventfdFlags, eventfd};

/// An eventfd: readable from `raise` to `lower`.
#[derive(Debug)]
pub(super) struct Signal(pub(super) Option<OwnedFd>);

impl Default for Signal {
    fn default() -> Self {
        Self(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).ok())
    }
}

impl Signal {
    // Neither can fail in a way that matters: a counter that is full is readable, one that is zero is not.
    pub(super) fn raise(&self) {
        let _ = self.0.as_ref().map(|fd| rustix::io::write(fd, &1_u64.to_ne_bytes()));
    }

    pub(super) fn lower(&self) {
        let _ = self.0.as_ref().map(|fd| rustix::io::read(fd, &mut [0; 8]));
    }

    pub(super) fn as_raw_fd(&self) -> Option<i32> {
        self.0.as_ref().map(AsRawFd::as_raw_fd)
    }
}
