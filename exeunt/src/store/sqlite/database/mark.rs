//! The mark: the number of the last commit that was acknowledged, in a small file beside the database, `FILE-mark`.
//!
//! SQLite reads its log up to the first damaged frame and says nothing, so a database alone cannot tell that its last
//! commits are missing. Whoever opens it compares its number with the mark's.
//!
//! That number is in the log, or in the file once the log was folded into it. While it is being folded, the file may have the number
//! already and not yet what the number counts, so the mark also says that: whoever then finds no commit in the log cannot trust the file.
//!
//! Must never be ahead of what was committed, nor, while the machine runs, behind what was acknowledged. It is written
//! after COMMIT and before the answer, and synced each second: a power loss may take its last second, and a mark that is
//! behind accuses nobody.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use rusqlite::types::ValueRef;

use super::checksum::checksum;
use super::open::private;

const MAGIC: &[u8; 8] = b"exeumark";
/// The magic, the database's id, the number, whether the log is being folded, a checksum over these three.
const BYTES: usize = 8 + 16 + 8 + 1 + 8;

/// A random name of a database, so that the mark of one is never held against another.
pub(super) type FileId = [u8; 16];

/// What is found beside a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Nothing,
    /// Something that is no mark (any more).
    Unreadable,
    Mark {
        file: FileId,
        number: i64,
        /// Whether a part of the log may be in the file, and the rest not.
        is_folding: bool,
    },
}

/// Looks for the mark of the database at `path`.
pub(super) fn find(path: &Path) -> io::Result<Found> {
    let file = match File::open(beside(path)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        opened => opened?,
    };
    let mut bytes = Vec::with_capacity(BYTES + 1);
    file.take(BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(parse(&bytes).unwrap_or(Found::Unreadable))
}

/// The mark of an open database.
pub(super) struct Mark {
    file: File,
    id: FileId,
    state: Mutex<State>,
    is_unsynced: AtomicBool,
}

#[derive(Clone, Copy)]
struct State {
    number: i64,
    is_folding: bool,
}

impl Mark {
    /// Makes or replaces the mark of the database at `path`, in one step, and answers once that is durable; and with it
    /// the names of both in their folder.
    pub(super) fn make(path: &Path, id: FileId, number: i64) -> io::Result<Self> {
        let (part, mark) = (with_end(path, "-mark.part"), beside(path));
        let mut file = private(OpenOptions::new().write(true).create(true).truncate(true)).open(&part)?;
        #[cfg(unix)]
        give_to_owner_of(path, &file)?;
        let state = State { number, is_folding: false };
        file.write_all(&bytes(id, state))?;
        file.sync_all()?;
        std::fs::rename(&part, &mark)?;
        #[cfg(unix)]
        if let Some(folder) = mark.parent() {
            File::open(folder)?.sync_all()?;
        }
        Ok(Self { file, id, state: Mutex::new(state), is_unsynced: AtomicBool::new(false) })
    }

    /// Takes up the mark that was found.
    pub(super) fn open(path: &Path, id: FileId, is_folding: bool) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).open(beside(path))?;
        let state = Mutex::new(State { number: 0, is_folding });
        Ok(Self { file, id, state, is_unsynced: AtomicBool::new(false) })
    }

    /// Notes that everything up to commit `number` may be acknowledged. Only the writer calls it.
    pub(super) fn set(&self, number: i64) -> io::Result<()> {
        self.change(|state| state.number = number)
    }

    /// Notes that the log is about to be folded into the file, and answers once that is durable; or that all of it was.
    pub(super) fn set_folding(&self, is_folding: bool) -> io::Result<()> {
        self.change(|state| state.is_folding = is_folding)?;
        if is_folding { self.sync() } else { Ok(()) }
    }

    fn change(&self, change: impl FnOnce(&mut State)) -> io::Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
        let mut file = &self.file;
        // In place, within one sector, and with no step for the disk to forget in between.
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&bytes(self.id, *state))?;
        self.is_unsynced.store(true, Ordering::Release);
        Ok(())
    }

    /// Has the disk keep what was set.
    pub(super) fn sync(&self) -> io::Result<()> {
        match self.is_unsynced.swap(false, Ordering::AcqRel) {
            true => self.file.sync_data(),
            false => Ok(()),
        }
    }
}

/// A command of root's makes the mark of a server's file: the server has to be able to write it. SQLite does so with its log.
#[cfg(unix)]
fn give_to_owner_of(path: &Path, file: &File) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt as _, fchown};
    let (owner, ours) = (std::fs::metadata(path)?, file.metadata()?);
    if (owner.uid(), owner.gid()) != (ours.uid(), ours.gid()) {
        // Nobody but root may. Anybody else who can write to the file goes on as far as that goes.
        let _ = fchown(file, Some(owner.uid()), Some(owner.gid()));
    }
    Ok(())
}

fn beside(path: &Path) -> PathBuf {
    with_end(path, "-mark")
}

pub(super) fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

fn bytes(id: FileId, state: State) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    let State { number, is_folding } = state;
    let parts = [
        &MAGIC[..],
        &id,
        &number.to_le_bytes(),
        &[u8::from(is_folding)],
        &sum(&id, number, is_folding).to_le_bytes(),
    ];
    for (byte, value) in bytes.iter_mut().zip(parts.concat()) {
        *byte = value;
    }
    bytes
}

fn parse(bytes: &[u8]) -> Option<Found> {
    let (file, rest) = bytes.strip_prefix(MAGIC)?.split_first_chunk::<16>()?;
    let (number, rest) = rest.split_first_chunk::<8>()?;
    let (folding, written) = rest.split_first_chunk::<1>()?;
    let (number, is_folding) = (i64::from_le_bytes(*number), *folding == [1]);
    let is_sound = number >= 0 && *written == sum(file, number, is_folding).to_le_bytes() && folding[0] <= 1;
    is_sound.then_some(Found::Mark { file: *file, number, is_folding })
}

fn sum(id: &FileId, number: i64, is_folding: bool) -> i64 {
    let numbers = [number, i64::from(is_folding)].map(ValueRef::Integer);
    checksum(std::iter::once(ValueRef::Blob(id)).chain(numbers))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_as_it_was_set_and_no_byte_of_it_may_change() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        std::fs::write(&path, "").unwrap();
        assert_eq!(find(&path).unwrap(), Found::Nothing);
        let mark = Mark::make(&path, [7; 16], 0).unwrap();
        assert_eq!(find(&path).unwrap(), Found::Mark { file: [7; 16], number: 0, is_folding: false });
        mark.set(41).unwrap();
        mark.sync().unwrap();
        let number = |found| matches!(found, Found::Mark { number: 41, .. });
        assert!(number(find(&path).unwrap()));
        mark.set_folding(true).unwrap();
        assert_eq!(find(&path).unwrap(), Found::Mark { file: [7; 16], number: 41, is_folding: true });
        mark.set_folding(false).unwrap();
        assert!(number(find(&path).unwrap()));
        let sound = std::fs::read(folder.path().join("a.db-mark")).unwrap();
        for at in 0..sound.len() {
            let mut flipped = sound.clone();
            flipped[at] ^= 4;
            std::fs::write(folder.path().join("a.db-mark"), &flipped).unwrap();
            assert_eq!(find(&path).unwrap(), Found::Unreadable, "byte {at}");
            std::fs::write(folder.path().join("a.db-mark"), &sound[..at]).unwrap();
            assert_eq!(find(&path).unwrap(), Found::Unreadable, "cut at {at}");
        }
        std::fs::write(folder.path().join("a.db-mark"), [&sound[..], &[0]].concat()).unwrap();
        assert_eq!(find(&path).unwrap(), Found::Unreadable);
    }
}
