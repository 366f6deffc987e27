//! A recording that is being made: a queue of bounded size, and the thread that writes it to a file.
//!
//! Whoever records never waits for the disk: what finds no room in the queue is dropped and counted, and the file says
//! that something is missing there.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    mem,
    net::SocketAddr,
    path::Path,
    process,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak},
    thread::{self, JoinHandle},
    time::{Duration, SystemTime},
};

use super::{
    clock,
    inbox::Inbox,
    log::{Record, WARNING},
};
use crate::recording::{Content, Source, Way, chunk_header, header, write_entry};

/// Bytes that may wait to be written: some seconds of a busy server.
const MAX_WAITING: usize = 32 << 20;
/// A chunk that has this size is written at once.
const CHUNK: usize = 64 << 10;
/// How long others are waited for otherwise: what a crash of the process costs.
const GATHER: Duration = Duration::from_millis(100);

/// What became of what was to be recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecorderStats {
    /// Packages and states in the file, or about to be.
    pub recorded: u64,
    /// Those that found no room.
    pub dropped: u64,
    /// Why nothing is written any more: the disk is full, say.
    pub failure: Option<String>,
}

/// Writes packages and states to a file until it is stopped or dropped. Any thread may record.
#[derive(Debug)]
pub struct Recorder {
    shared: Arc<Shared>,
    begun: Duration,
    /// The process that has the thread: a forked child has a copy of this, but no thread.
    process: u32,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    filled: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    /// Whole entries.
    waiting: Vec<u8>,
    /// Entries dropped since the last one that was taken.
    gap: u64,
    stats: RecorderStats,
    is_closed: bool,
}

impl Recorder {
    /// Begins a recording in a file that must not be there yet, unless it may be overwritten. If it cannot be gone on
    /// with later, `inbox` hears of it.
    pub fn create(path: &Path, overwrite: bool, source: Source, inbox: Weak<Inbox>) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.write(true);
        if overwrite {
            options.create(true).truncate(true)
        } else {
            options.create_new(true)
        };
        let mut file = options.open(path)?;
        let started = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        file.write_all(&header(source, started))?;
        let shared = Arc::new(Shared::default());
        let name = path.display().to_string();
        let thread = {
            let shared = Arc::clone(&shared);
            thread::Builder::new().name("pygase-record".into()).spawn(move || {
                if let Err(error) = write(&mut file, &shared) {
                    let text = format!("recording to {name} ended: {error}");
                    shared.lock().fail(&text);
                    if let Some(inbox) = inbox.upgrade() {
                        inbox.log(Record { level: WARNING, text });
                    }
                }
            })?
        };
        let thread = Mutex::new(Some(thread));
        Ok(Self { shared, begun: clock::now(), process: process::id(), thread })
    }

    /// Records a datagram.
    pub fn package(&self, now: Duration, way: Way, peer: SocketAddr, bytes: &[u8]) {
        self.record(now, bytes.len(), &Content::Package { way, peer, bytes });
    }

    /// Records a state, or what changed.
    pub fn state(&self, now: Duration, time_order: u16, is_whole: bool, bytes: &[u8]) {
        self.record(now, bytes.len(), &Content::State { time_order, is_whole, bytes });
    }

    fn record(&self, now: Duration, size: usize, content: &Content<'_>) {
        let at = now.saturating_sub(self.begun);
        let mut queue = self.shared.lock();
        let before = queue.waiting.len();
        if queue.is_closed || before + size > MAX_WAITING {
            queue.stats.dropped += 1;
            queue.gap += 1;
            return;
        }
        let gap = mem::take(&mut queue.gap);
        if gap > 0 {
            write_entry(&mut queue.waiting, at, &Content::Gap(gap));
        }
        write_entry(&mut queue.waiting, at, content);
        queue.stats.recorded += 1;
        let wakes = before == 0 || (before < CHUNK && queue.waiting.len() >= CHUNK);
        drop(queue);
        if wakes {
            self.shared.filled.notify_one();
        }
    }

    /// What became of what was to be recorded so far.
    pub fn stats(&self) -> RecorderStats {
        self.shared.lock().stats.clone()
    }

    /// Writes what waits and closes the file. Harmless when done twice; what comes after is dropped.
    pub fn stop(&self) {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        let thread = thread.take();
        if process::id() != self.process {
            // The thread is the parent's, and so is the file.
            mem::forget(thread);
            return;
        }
        self.shared.lock().is_closed = true;
        self.shared.filled.notify_one();
        if let Some(thread) = thread {
            // Its errors are in the stats.
            let _ = thread.join();
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn fail(&mut self, text: &str) {
        self.is_closed = true;
        self.waiting = Vec::new();
        self.stats.failure = Some(text.to_owned());
    }
}

/// The thread: writes chunks until the queue is closed and empty.
fn write(file: &mut File, shared: &Shared) -> io::Result<()> {
    let mut chunk = Vec::new();
    loop {
        let queue = shared.lock();
        let wait = shared.filled.wait_while(queue, |queue| queue.waiting.is_empty() && !queue.is_closed);
        let queue = wait.unwrap_or_else(PoisonError::into_inner);
        let gather = |queue: &mut Queue| queue.waiting.len() < CHUNK && !queue.is_closed;
        let wait = shared.filled.wait_timeout_while(queue, GATHER, gather);
        let (mut queue, _) = wait.unwrap_or_else(PoisonError::into_inner);
        mem::swap(&mut queue.waiting, &mut chunk);
        drop(queue);
        if chunk.is_empty() {
            return Ok(());
        }
        file.write_all(&chunk_header(&chunk))?;
        file.write_all(&chunk)?;
        chunk.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::Reader;

    const PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8080);

    fn path(name: &str) -> std::path::PathBuf {
        std::env::temp_dir().join(format!("pygase-{name}-{}", process::id()))
    }

    #[test]
    fn threads_record_into_one_file_that_is_not_overwritten() {
        let path = path("recorder");
        let recorder = Recorder::create(&path, true, Source::Server, Weak::new()).unwrap();
        thread::scope(|scope| {
            for thread in 0..4_u8 {
                let recorder = &recorder;
                scope.spawn(move || {
                    for number in 0..500_u16 {
                        recorder.state(clock::now(), number, false, &[thread; 1000]);
                    }
                });
            }
        });
        recorder.package(clock::now(), Way::Up, PEER, b"last");
        recorder.stop();
        recorder.package(clock::now(), Way::Up, PEER, b"too late");
        let expected = RecorderStats { recorded: 2001, dropped: 1, failure: None };
        assert_eq!(recorder.stats(), expected);
        let error = Recorder::create(&path, false, Source::Server, Weak::new()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        let mut reader = Reader::open(File::open(&path).unwrap()).unwrap();
        let (mut states, mut next) = (0, [0; 4]);
        while let Some((_, content)) = reader.next_entry().unwrap() {
            if let Content::State { time_order, bytes, .. } = content {
                // Those of one thread in their order.
                let next = &mut next[usize::from(bytes[0])];
                assert_eq!(time_order, *next);
                *next += 1;
                states += 1;
            }
        }
        assert_eq!(states, 2000);
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn what_finds_no_room_is_counted_and_missing_in_the_file() {
        let path = path("gap");
        let recorder = Recorder::create(&path, true, Source::Server, Weak::new()).unwrap();
        // Too large whatever the writer does meanwhile.
        recorder.state(clock::now(), 1, true, &vec![0; MAX_WAITING + 1]);
        recorder.state(clock::now(), 2, true, b"\x80");
        recorder.stop();
        assert_eq!(recorder.stats(), RecorderStats { recorded: 1, dropped: 1, failure: None });
        let mut reader = Reader::open(File::open(&path).unwrap()).unwrap();
        assert!(matches!(reader.next_entry(), Ok(Some((_, Content::Gap(1))))));
        assert!(matches!(reader.next_entry(), Ok(Some((_, Content::State { time_order: 2, .. })))));
        std::fs::remove_file(path).unwrap();
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_ends_it_and_is_said() {
        let inbox = Arc::new(Inbox::new());
        let path = Path::new("/dev/full");
        let error = Recorder::create(path, true, Source::Server, Arc::downgrade(&inbox));
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::StorageFull);
    }
}
