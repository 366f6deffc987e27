//! What is to be sent, together.

use std::net::SocketAddr;

/// Datagrams on their way out, in one buffer that is used again and again.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    bytes: Vec<u8>,
    /// Where to, and where in `bytes` it ends.
    ends: Vec<(SocketAddr, usize)>,
}

impl Outbox {
    /// The buffer to append one datagram to, before [`Outbox::seal`].
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Ends the datagram appended to the buffer.
    pub(crate) fn seal(&mut self, to: SocketAddr) {
        self.ends.push((to, self.bytes.len()));
    }

    /// How many datagrams wait.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Forgets all of them, sealed or not.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// What waits, and where to.
    pub(in crate::net) fn iter(&self) -> impl Iterator<Item = (SocketAddr, &[u8])> {
        let mut start = 0;
        self.ends.iter().map(move |&(to, end)| {
            let datagram = self.bytes.get(start..end).unwrap_or_default();
            start = end;
            (to, datagram)
        })
    }
}
