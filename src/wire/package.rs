//! The three package layouts: what follows the header, by who sends it to whom.

use super::{EventNumber, HEADER_SIZE, Header, Sqn, WireError, limits, msgpack};

/// Which of the three layouts a package has. Nothing on the wire says so: the role of the sender does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Events only.
    Plain,
    /// From a client: its time order, then events.
    Client,
    /// From a server: a game state update, then events.
    Server,
}

/// What stands between the header and the events.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Body<'a> {
    /// Nothing.
    Plain,
    /// The newest time order of the game state the client holds; 0 = it has no state yet.
    Client {
        /// That time order.
        time_order: Sqn,
    },
    /// A msgpacked game state update.
    Server {
        /// Its bytes.
        update: &'a [u8],
    },
}

/// A package, borrowed from the datagram it came in and fully checked.
///
/// ```
/// use pygase::wire::{Body, Header, Kind, Package, PackageWriter, Sqn};
/// let header = Header { sequence: Sqn::new(1), ..Header::default() };
/// let event = pygase::wire::msgpack::event("MOVE", &[0x91, 0x07], &[0x80]);
/// let mut datagram = Vec::new();
/// let mut writer = PackageWriter::new(&mut datagram, header, Body::Client { time_order: Sqn::ZERO }).unwrap();
/// assert!(writer.push_event(&event, 2048));
/// let package = Package::decode(Kind::Client, &datagram).unwrap();
/// assert_eq!(package.header, header);
/// assert_eq!(package.events().collect::<Vec<_>>(), [&event[..]]);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Package<'a> {
    /// Sequence number and acknowledgements.
    pub header: Header,
    /// What the layout has before the events.
    pub body: Body<'a>,
    events: &'a [u8],
}

impl<'a> Package<'a> {
    /// Reads a datagram of the given layout, checking everything in it before anything can take effect:
    /// lengths, msgpack structure and limits, and the fields of events and update.
    pub fn decode(kind: Kind, datagram: &'a [u8]) -> Result<Self, WireError> {
        let package = Self::split(kind, datagram)?;
        if let Body::Server { update } = package.body {
            msgpack::check_update(update)?;
        }
        package.events().try_for_each(msgpack::check_event)?;
        Ok(package)
    }

    /// [`Self::decode`] without a look at the msgpack: for callers that read all of it anyway, and find out.
    pub fn split(kind: Kind, datagram: &'a [u8]) -> Result<Self, WireError> {
        if datagram.len() > limits::MAX_DATAGRAM {
            return Err(WireError::TooLarge { size: datagram.len() });
        }
        let (header, rest) = Header::decode(datagram)?;
        let cut = |what| WireError::Truncated { at: datagram.len(), what };
        let (body, events) = match kind {
            Kind::Plain => (Body::Plain, rest),
            Kind::Client => {
                let (time_order, rest) = rest.split_first_chunk().ok_or(cut("the time order"))?;
                (Body::Client { time_order: Sqn::new(u16::from_be_bytes(*time_order)) }, rest)
            }
            Kind::Server => {
                let (update, rest) = split_block(rest).ok_or(cut("the game state update"))?;
                (Body::Server { update }, rest)
            }
        };
        let mut left = events;
        while !left.is_empty() {
            (_, left) = split_block(left).ok_or(cut("an event"))?;
        }
        Ok(Self { header, body, events })
    }

    /// The msgpacked events, in order.
    pub fn events(&self) -> Events<'a> {
        Events(self.events)
    }
}

/// Iterator over the msgpacked events of a [`Package`].
#[derive(Clone, Debug)]
pub struct Events<'a>(&'a [u8]);

impl<'a> Iterator for Events<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (event, rest) = split_block(self.0)?;
        self.0 = rest;
        Some(event)
    }
}

/// Writes one package into a buffer.
#[derive(Debug)]
pub struct PackageWriter<'b> {
    out: &'b mut Vec<u8>,
    start: usize,
}

impl<'b> PackageWriter<'b> {
    /// Appends header and body to `out`; fails, and appends nothing, if they exceed a package.
    pub fn new(out: &'b mut Vec<u8>, header: Header, body: Body<'_>) -> Result<Self, WireError> {
        let start = out.len();
        match body {
            Body::Plain => out.extend_from_slice(&header.encode()),
            Body::Client { time_order } => {
                out.extend_from_slice(&header.encode());
                out.extend_from_slice(&time_order.value().to_be_bytes());
            }
            Body::Server { update } => {
                let size = HEADER_SIZE + 2 + update.len();
                let length = u16::try_from(update.len()).ok().filter(|_| size <= limits::MAX_DATAGRAM);
                let length = length.ok_or(WireError::TooLarge { size })?;
                out.extend_from_slice(&header.encode());
                out.extend_from_slice(&length.to_be_bytes());
                out.extend_from_slice(update);
            }
        }
        Ok(Self { out, start })
    }

    /// Goes on with the package that begins at `start` in `out`.
    pub fn reopen(out: &'b mut Vec<u8>, start: usize) -> Self {
        Self { out, start }
    }

    /// Appends a msgpacked event if the datagram stays within `limit` bytes; says whether it did.
    pub fn push_event(&mut self, event: &[u8], limit: usize) -> bool {
        let Ok(length) = u16::try_from(event.len()) else { return false };
        if self.size() + 2 + event.len() > limit {
            return false;
        }
        self.out.extend_from_slice(&length.to_be_bytes());
        self.out.extend_from_slice(event);
        true
    }

    /// [`Self::push_event`] for an event that travels under a number.
    pub fn push_numbered(&mut self, event: &[u8], number: EventNumber, limit: usize) -> bool {
        let size = event.len() + number.size();
        let Ok(length) = u16::try_from(size) else { return false };
        if self.size() + 2 + size > limit {
            return false;
        }
        self.out.extend_from_slice(&length.to_be_bytes());
        number.write(event, self.out);
        true
    }

    /// Size of the datagram so far, in bytes.
    pub fn size(&self) -> usize {
        self.out.len() - self.start
    }
}

/// Splits off a block that is preceded by its two byte length.
fn split_block(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_exceeds_a_package_leaves_nothing_behind() {
        let mut out = vec![7];
        for size in [limits::MAX_DATAGRAM - HEADER_SIZE - 1, 70_000] {
            let update = vec![0; size];
            let writer = PackageWriter::new(&mut out, Header::default(), Body::Server { update: &update });
            assert!(
                matches!(writer, Err(WireError::TooLarge { size: told }) if told == size + HEADER_SIZE + 2)
            );
        }
        assert_eq!(out, [7]);
    }
}
