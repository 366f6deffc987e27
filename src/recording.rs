//! What a recording looks like in a file: packages and states with their times, in chunks with a checksum.
//!
//! Knows no socket, no thread and no clock. A file is `MAGIC`, the version, where it was recorded, the wall time in
//! milliseconds since 1970, and then chunks: length, CRC-32, and as many whole entries as that is long. A file that
//! ends anywhere can be read up to its last whole chunk. All numbers are big endian.

use std::{
    io::{self, Read},
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use thiserror::Error;

/// What every recording begins with; the first byte is in no text.
const MAGIC: [u8; 8] = *b"\x89PyGaSe\n";
/// The version of the format that is written, and the newest that is read.
pub const VERSION: u8 = 1;
/// A longer chunk was not written by a [`crate::net::Recorder`].
const MAX_CHUNK: u64 = 64 << 20;

/// Where something was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// At a server: all of its clients, and the states that the game made.
    Server,
    /// By a client of its own: what one client sees.
    Client,
    /// Between clients and a server.
    Relay,
}

impl Source {
    const ALL: [Self; 3] = [Self::Server, Self::Client, Self::Relay];
}

/// The direction of a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// To the server.
    Up,
    /// To a client.
    Down,
}

/// What was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content<'a> {
    /// A datagram from or to a client.
    Package {
        /// Its direction.
        way: Way,
        /// The client.
        peer: SocketAddr,
        /// All of it.
        bytes: &'a [u8],
    },
    /// A state the game made.
    State {
        /// Its time order.
        time_order: u16,
        /// Whether `bytes` is all of the state; what changed otherwise.
        is_whole: bool,
        /// A msgpacked map.
        bytes: &'a [u8],
    },
    /// So many entries are missing here: they came faster than they were written.
    Gap(u64),
}

/// Something recorded, and when: the time since the recording began.
pub type Entry<'a> = (Duration, Content<'a>);

/// Why a recording cannot be read, or not any further.
#[derive(Debug, Error)]
pub enum RecordingError {
    /// It begins like no recording.
    #[error("this is no recording of pygase")]
    Foreign,
    /// It was written by a later version.
    #[error("this recording has format {0}, and at most {VERSION} can be read: update pygase-rs")]
    Newer(u8),
    /// It ends within a chunk.
    #[error("the recording ends in the middle of something: what was whole was read")]
    Truncated,
    /// A checksum or a length is wrong.
    #[error("the recording is damaged: what came before was read")]
    Damaged,
    /// The system said no.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What a file begins with. `started` is the wall time since 1970.
pub fn header(source: Source, started: Duration) -> Vec<u8> {
    let mut header = MAGIC.to_vec();
    header.push(VERSION);
    header.push(source as u8);
    header.extend((started.as_millis() as u64).to_be_bytes());
    header
}

/// What stands before a chunk.
pub fn chunk_header(chunk: &[u8]) -> [u8; 8] {
    let (length, sum) = ((chunk.len() as u64) << 32, u64::from(crc32(chunk)));
    (length | sum).to_be_bytes()
}

/// Appends an entry to a chunk.
pub fn write_entry(out: &mut Vec<u8>, at: Duration, content: &Content<'_>) {
    let start = out.len();
    out.extend([0; 4]);
    let kind = match content {
        Content::Package { way: Way::Up, .. } => 0,
        Content::Package { way: Way::Down, .. } => 1,
        Content::State { is_whole: false, .. } => 2,
        Content::State { is_whole: true, .. } => 3,
        Content::Gap(_) => 4,
    };
    out.push(kind);
    out.extend((at.as_micros() as u64).to_be_bytes());
    match content {
        Content::Package { peer, bytes, .. } => {
            match peer.ip() {
                IpAddr::V4(v4) => {
                    out.push(4);
                    out.extend(v4.octets());
                }
                IpAddr::V6(v6) => {
                    out.push(6);
                    out.extend(v6.octets());
                }
            }
            out.extend(peer.port().to_be_bytes());
            out.extend_from_slice(bytes);
        }
        Content::State { time_order, bytes, .. } => {
            out.extend(time_order.to_be_bytes());
            out.extend_from_slice(bytes);
        }
        Content::Gap(count) => out.extend(count.to_be_bytes()),
    }
    let length = ((out.len() - start - 4) as u32).to_be_bytes();
    if let Some(place) = out.get_mut(start..start + 4) {
        place.copy_from_slice(&length);
    }
}

/// A recording that is read from the beginning.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    source: Source,
    started: Duration,
    chunk: Vec<u8>,
    /// How much of the chunk was handed out.
    read: usize,
}

impl<R: Read> Reader<R> {
    /// Reads what the file begins with.
    pub fn open(mut input: R) -> Result<Self, RecordingError> {
        let mut magic = [0; MAGIC.len()];
        let mut rest = [0; 10];
        let begins = read_full(&mut input, &mut magic)? && magic == MAGIC;
        if !begins {
            return Err(RecordingError::Foreign);
        }
        if !read_full(&mut input, &mut rest)? {
            return Err(RecordingError::Truncated);
        }
        let [version, source, started @ ..] = rest;
        if version > VERSION {
            return Err(RecordingError::Newer(version));
        }
        let source = Source::ALL.get(usize::from(source)).copied().ok_or(RecordingError::Damaged)?;
        let started = Duration::from_millis(u64::from_be_bytes(started));
        Ok(Self { input, source, started, chunk: Vec::new(), read: 0 })
    }

    /// Where it was recorded.
    pub fn source(&self) -> Source {
        self.source
    }

    /// The wall time at which it began, since 1970.
    pub fn started(&self) -> Duration {
        self.started
    }

    /// The next entry; None at the end. After an error there is nothing more to come.
    pub fn next_entry(&mut self) -> Result<Option<Entry<'_>>, RecordingError> {
        if self.read == self.chunk.len() && !self.next_chunk()? {
            return Ok(None);
        }
        let mut rest = self.chunk.get(self.read..).unwrap_or_default();
        let length = take(&mut rest).map(u32::from_be_bytes).ok_or(RecordingError::Damaged)? as usize;
        self.read += 4 + length;
        let entry = rest.get(..length).and_then(parse).ok_or(RecordingError::Damaged)?;
        Ok(Some(entry))
    }

    /// Reads another chunk; false at the end of the file.
    fn next_chunk(&mut self) -> Result<bool, RecordingError> {
        self.chunk.clear();
        self.read = 0;
        let mut header = Vec::new();
        self.input.by_ref().take(8).read_to_end(&mut header)?;
        if header.is_empty() {
            return Ok(false);
        }
        let header: [u8; 8] = header.try_into().map_err(|_| RecordingError::Truncated)?;
        let header = u64::from_be_bytes(header);
        let (length, sum) = (header >> 32, header as u32);
        if length == 0 || length > MAX_CHUNK {
            return Err(RecordingError::Damaged);
        }
        // Grows with what there is, whatever the length says.
        let read = self.input.by_ref().take(length).read_to_end(&mut self.chunk)?;
        let problem = if read as u64 != length {
            RecordingError::Truncated
        } else if crc32(&self.chunk) != sum {
            RecordingError::Damaged
        } else {
            return Ok(true);
        };
        self.chunk.clear();
        Err(problem)
    }
}

/// Fills `into`; false if there is less.
fn read_full(input: &mut impl Read, into: &mut [u8]) -> Result<bool, RecordingError> {
    match input.read_exact(into) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*head)
}

fn parse(mut entry: &[u8]) -> Option<Entry<'_>> {
    let [kind] = take(&mut entry)?;
    let at = Duration::from_micros(u64::from_be_bytes(take(&mut entry)?));
    let content = match kind {
        0 | 1 => {
            let ip = match take(&mut entry)? {
                [4] => IpAddr::from(take::<4>(&mut entry)?),
                [6] => IpAddr::from(take::<16>(&mut entry)?),
                _ => return None,
            };
            let peer = SocketAddr::new(ip, u16::from_be_bytes(take(&mut entry)?));
            Content::Package { way: if kind == 0 { Way::Up } else { Way::Down }, peer, bytes: entry }
        }
        2 | 3 => {
            let time_order = u16::from_be_bytes(take(&mut entry)?);
            Content::State { time_order, is_whole: kind == 3, bytes: entry }
        }
        4 => Content::Gap(u64::from_be_bytes(take(&mut entry)?)),
        _ => return None,
    };
    Some((at, content))
}

/// The checksum that zip and PNG have.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum, byte| {
        let [low, ..] = sum.to_le_bytes();
        (sum >> 8) ^ CRC_TABLE.get(usize::from(low ^ byte)).copied().unwrap_or_default()
    })
}

const CRC_TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let (mut value, mut bit) = (index as u32, 0);
        while bit < 8 {
            value = if value & 1 == 1 { (value >> 1) ^ 0xedb8_8320 } else { value >> 1 };
            bit += 1;
        }
        #[allow(clippy::indexing_slicing, reason = "evaluated by the compiler")]
        {
            table[index] = value;
        }
        index += 1;
    }
    table
};

#[cfg(test)]
#[path = "recording/tests.rs"]
mod tests;
