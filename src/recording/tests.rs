//! Recordings written and read again, whole, cut at every byte and damaged at every byte.

use super::*;

const ENTRIES: [Entry<'_>; 5] = [
    (Duration::from_micros(1), Content::State { time_order: 7, is_whole: true, bytes: b"\x81\xa1x\x01" }),
    (Duration::from_millis(20), Content::State { time_order: 8, is_whole: false, bytes: b"\x80" }),
    (Duration::from_millis(21), Content::Package { way: Way::Up, peer: peer([127, 0, 0, 1]), bytes: b"up" }),
    (Duration::from_millis(22), Content::Package { way: Way::Down, peer: peer([10, 0, 0, 1]), bytes: b"" }),
    (Duration::from_secs(90_000), Content::Gap(12)),
];

const fn peer(ip: [u8; 4]) -> SocketAddr {
    let [a, b, c, d] = ip;
    SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::new(a, b, c, d)), 8080)
}

/// A file with the entries in two chunks, and where the chunks end.
fn file() -> (Vec<u8>, [usize; 3]) {
    let mut file = header(Source::Relay, Duration::from_millis(1_700_000_000_123));
    let mut ends = [file.len(); 3];
    for (entries, end) in ENTRIES.chunks(3).zip(1..) {
        let mut chunk = Vec::new();
        for (at, content) in entries {
            write_entry(&mut chunk, *at, content);
        }
        file.extend(chunk_header(&chunk));
        file.extend(chunk);
        ends[end] = file.len();
    }
    (file, ends)
}

/// How many entries can be read, each of them as it was written, and how it ends.
fn read(file: &[u8]) -> (usize, Result<(), RecordingError>) {
    let mut reader = match Reader::open(file) {
        Ok(reader) => reader,
        Err(error) => return (0, Err(error)),
    };
    let mut count = 0;
    loop {
        match reader.next_entry() {
            Ok(Some(entry)) => assert_eq!(entry, ENTRIES[count]),
            Ok(None) => return (count, Ok(())),
            Err(error) => return (count, Err(error)),
        }
        count += 1;
    }
}

#[test]
fn what_was_written_is_read() {
    let (file, _) = file();
    let reader = Reader::open(&file[..]).unwrap();
    assert_eq!(
        (reader.source(), reader.started()),
        (Source::Relay, Duration::from_millis(1_700_000_000_123))
    );
    assert!(matches!(read(&file), (5, Ok(()))));
    assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
}

#[test]
fn a_file_that_ends_anywhere_gives_its_whole_chunks() {
    let (file, ends) = file();
    for end in 0..=file.len() {
        let whole = [0, 3, 5][ends[1..].iter().filter(|&&at| at <= end).count()];
        let (count, result) = read(&file[..end]);
        assert_eq!(count, whole, "cut at {end}");
        match result {
            Ok(()) => assert!(ends.contains(&end)),
            Err(RecordingError::Foreign) => assert!(end < MAGIC.len()),
            Err(error) => assert!(matches!(error, RecordingError::Truncated) && !ends.contains(&end)),
        }
    }
}

#[test]
fn no_changed_byte_goes_unnoticed() {
    let (file, ends) = file();
    for at in (0..=MAGIC.len()).chain(ends[0]..file.len()) {
        let mut file = file.clone();
        file[at] ^= 0x55;
        let (count, result) = read(&file);
        assert_eq!(count, if at < ends[1] { 0 } else { 3 }, "changed at {at}");
        assert!(result.is_err(), "changed at {at}");
    }
}
