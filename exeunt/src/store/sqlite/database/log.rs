//! Whether SQLite will find a commit in a log, as it is on the disk.
//!
//! Must never take a log for better than SQLite does: it reads what SQLite's file format says of the log ("The WAL File Format",
//! section 4), up to the first commit, and changes nothing.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use super::mark::with_end;

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
/// The last bit says in which order of bytes the checksums were computed: set, the most significant one first.
const MAGIC: u32 = 0x377f_0682;
const VERSION: u32 = 3_007_000;

/// Whether the log of the database at `path` begins with a whole commit.
pub(super) fn has_commit(path: &Path) -> io::Result<bool> {
    match File::open(with_end(path, "-wal")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        opened => first_commit(&mut BufReader::new(opened?)),
    }
}

fn first_commit(log: &mut impl Read) -> io::Result<bool> {
    let mut header = [0; HEADER];
    if !fill(log, &mut header)? {
        return Ok(false);
    }
    let magic = word(&header, 0);
    let page = word(&header, 2) as usize;
    let order = if magic & 1 == 1 { u32::from_be_bytes } else { u32::from_le_bytes };
    let mut sum = Sum { order, words: (0, 0) };
    let (checked, _) = header.split_at(HEADER - 8);
    sum.add(checked);
    let is_log = magic & !1 == MAGIC && word(&header, 1) == VERSION;
    if !is_log || !page.is_power_of_two() || !(512..=65_536).contains(&page) || !sum.is(&header, 6) {
        return Ok(false);
    }
    let salts = (word(&header, 4), word(&header, 5));
    let (mut frame, mut content) = ([0; FRAME_HEADER], vec![0; page]);
    while fill(log, &mut frame)? && fill(log, &mut content)? {
        let (checked, _) = frame.split_at(8);
        sum.add(checked);
        sum.add(&content);
        // A frame of what the log was before has its salts.
        if (word(&frame, 2), word(&frame, 3)) != salts || word(&frame, 0) == 0 || !sum.is(&frame, 4) {
            return Ok(false);
        }
        if word(&frame, 1) != 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The checksum over everything so far.
struct Sum {
    order: fn([u8; 4]) -> u32,
    words: (u32, u32),
}

impl Sum {
    fn add(&mut self, bytes: &[u8]) {
        let (first, second) = &mut self.words;
        let (words, _) = bytes.as_chunks::<4>();
        let (pairs, _) = words.as_chunks::<2>();
        for [one, other] in pairs {
            *first = first.wrapping_add((self.order)(*one)).wrapping_add(*second);
            *second = second.wrapping_add((self.order)(*other)).wrapping_add(*first);
        }
    }

    /// Whether it is what stands there from the word with that number on.
    fn is(&self, bytes: &[u8], at: usize) -> bool {
        self.words == (word(bytes, at), word(bytes, at + 1))
    }
}

/// The word with that number.
fn word(bytes: &[u8], number: usize) -> u32 {
    let (words, _) = bytes.as_chunks::<4>();
    words.get(number).map_or(0, |word| u32::from_be_bytes(*word))
}

/// `false`: it ends before.
fn fill(log: &mut impl Read, bytes: &mut [u8]) -> io::Result<bool> {
    match log.read_exact(bytes) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        read => read.map(|()| true),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rusqlite::Connection;

    use super::*;

    /// How many pages SQLite finds in the log.
    fn found_by_sqlite(path: &Path) -> i64 {
        let connection = Connection::open(path).unwrap();
        connection.query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| row.get(1)).unwrap()
    }

    #[test]
    fn a_log_has_a_commit_exactly_if_sqlite_finds_one_whatever_is_damaged() {
        // R04
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        assert!(!has_commit(&path).unwrap());
        let connection = Connection::open(&path).unwrap();
        connection
            .execute_batch("PRAGMA page_size = 512; PRAGMA journal_mode = WAL; CREATE TABLE t (x); PRAGMA wal_checkpoint(TRUNCATE);")
            .unwrap();
        assert!(!has_commit(&path).unwrap(), "it is empty");
        // A first commit of a few pages, and a second one.
        connection.execute("INSERT INTO t VALUES (zeroblob(1500))", []).unwrap();
        connection.execute("INSERT INTO t VALUES (2)", []).unwrap();
        let sound = ["a.db", "a.db-wal"].map(|name| fs::read(folder.path().join(name)).unwrap());
        let mut counts = [0, 0];
        let mut trial = |log: &[u8]| {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("a.db");
            fs::write(&path, &sound[0]).unwrap();
            fs::write(folder.path().join("a.db-wal"), log).unwrap();
            let ours = has_commit(&path).unwrap();
            assert_eq!(ours, found_by_sqlite(&path) > 0);
            counts[usize::from(ours)] += 1;
        };
        trial(&sound[1]);
        for at in (0..sound[1].len()).step_by(7) {
            let mut flipped = sound[1].clone();
            flipped[at] ^= 1 << (at % 8);
            trial(&flipped);
            trial(&sound[1][..at]);
        }
        assert!(counts[0] > 100 && counts[1] > 100, "{counts:?}");
    }
}
