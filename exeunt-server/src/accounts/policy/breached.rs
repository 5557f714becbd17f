//! A list of passwords that were found in breaches, on disk, as Have I Been Pwned publishes it (R58).
//!
//! Must never load the list, send anything anywhere, or say "not in it" where it could not be read.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use sha1::{Digest as _, Sha1};

/// SHA-1 in hexadecimal digits.
const HASH: usize = 40;
/// Range files are named by so many first digits of the hashes in them.
const PREFIX: usize = 5;
/// No line is longer: a hash, a colon, a number.
const LONGEST_LINE: u64 = 128;
/// So many places of a list are looked at when it is opened.
const LOOKS: u64 = 64;

/// A list of breached passwords: either one file of `HASH:COUNT` lines sorted by hash, or a folder of range files, each named by
/// the first five digits of its hashes (`21BD1` or `21BD1.txt`) with sorted `REST:COUNT` lines. Hashes are SHA-1 in
/// hexadecimal digits.
#[derive(Debug)]
pub struct Breached {
    path: PathBuf,
    is_folder: bool,
}

/// A list of breached passwords cannot be used.
#[derive(Debug, thiserror::Error)]
#[error(
    "the list of breached passwords (breached_passwords, EXEUNT_BREACHED_PASSWORDS) cannot be used: {}: {what}",
    path.display()
)]
pub struct BreachedError {
    path: PathBuf,
    what: String,
}

impl Breached {
    /// Looks the list over: its form, and whether it is sorted, at 64 places of it. Takes milliseconds, and reads a few
    /// kilobytes. Blocks.
    ///
    /// # Errors
    ///
    /// [`BreachedError`] names the file and what is wrong with it.
    pub fn open(path: &Path) -> Result<Self, BreachedError> {
        let wrong = |error: io::Error| at(path, error);
        let is_folder = path.metadata().map_err(wrong)?.is_dir();
        let list = Self { path: path.to_owned(), is_folder };
        if !is_folder {
            look_over(path, HASH)?;
            return Ok(list);
        }
        for look in 0..LOOKS {
            // Evenly spread from the first to the last prefix.
            let prefix = look * 0xF_FFFF / (LOOKS - 1);
            look_over(&list.range_file(&format!("{prefix:05X}"))?, HASH - PREFIX)?;
        }
        Ok(list)
    }

    /// Whether a password is in the list. Blocks.
    ///
    /// # Errors
    ///
    /// If the list cannot be read: nothing is known then.
    pub fn has(&self, password: &str) -> Result<bool, BreachedError> {
        let hash: String = Sha1::digest(password).iter().map(|byte| format!("{byte:02X}")).collect();
        if !self.is_folder {
            return search(&self.path, hash.as_bytes());
        }
        let (prefix, rest) = hash.split_at_checked(PREFIX).unwrap_or_default();
        search(&self.range_file(prefix)?, rest.as_bytes())
    }

    /// In capital or small letters, with `.txt` or without.
    fn range_file(&self, prefix: &str) -> Result<PathBuf, BreachedError> {
        let small = prefix.to_ascii_lowercase();
        let names = [prefix.to_owned(), format!("{prefix}.txt"), small.clone(), format!("{small}.txt")];
        let mut files = names.iter().map(|name| self.path.join(name));
        files.find(|file| file.is_file()).ok_or_else(|| {
            let what = format!(
                "there is no range file {prefix} or {prefix}.txt in this folder: a whole list has 1048576 of them"
            );
            BreachedError { path: self.path.clone(), what }
        })
    }
}

/// A line that begins after a place in a file.
struct Line {
    /// Where it begins.
    from: u64,
    /// Where the next one begins.
    to: u64,
    /// What it is about, in capital letters.
    hash: Vec<u8>,
}

/// Reads the first line that begins at `offset` or, if that is within a line, behind it. `None`: there is none.
fn line_from(file: &mut BufReader<File>, offset: u64, digits: usize) -> io::Result<Option<Line>> {
    let mut from = offset;
    let mut text = Vec::new();
    // One byte before: a line that begins right here is not skipped.
    file.seek(SeekFrom::Start(offset.saturating_sub(1)))?;
    if offset > 0 {
        let skipped = read_line(file, &mut text)?;
        from = offset - 1 + skipped;
    }
    let read = read_line(file, &mut text)?;
    if read == 0 {
        return Ok(None);
    }
    let hash = parse(&text, digits).ok_or_else(|| {
        // Not the line itself: it may be a password.
        let what = format!(
            "the line that begins at byte {from} is not {digits} hexadecimal digits, a colon and a number"
        );
        io::Error::new(io::ErrorKind::InvalidData, what)
    })?;
    Ok(Some(Line { from, to: from + read, hash }))
}

fn read_line(file: &mut BufReader<File>, text: &mut Vec<u8>) -> io::Result<u64> {
    text.clear();
    let read = io::Read::take(file, LONGEST_LINE).read_until(b'\n', text)?;
    Ok(read as u64)
}

fn parse(line: &[u8], digits: usize) -> Option<Vec<u8>> {
    let line = std::str::from_utf8(line).ok()?.trim_end_matches(['\n', '\r']);
    let (hash, count) = line.split_once(':')?;
    let is_hash = hash.len() == digits && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_hash && count.parse::<u64>().is_ok()).then(|| hash.to_ascii_uppercase().into_bytes())
}

/// Whether the hash begins a line, by halving the file.
fn search(path: &Path, hash: &[u8]) -> Result<bool, BreachedError> {
    let found = || {
        let file = File::open(path)?;
        let (mut low, mut high) = (0, file.metadata()?.len());
        let mut file = BufReader::with_capacity(512, file);
        // All lines that begin before `low` are smaller, all that begin at `high` or later greater.
        while low < high {
            let middle = low + (high - low) / 2;
            match line_from(&mut file, middle, hash.len())? {
                Some(line) if line.from < high => match line.hash.as_slice().cmp(hash) {
                    std::cmp::Ordering::Equal => return Ok(true),
                    std::cmp::Ordering::Less => low = line.to,
                    std::cmp::Ordering::Greater => high = middle,
                },
                _ => high = middle,
            }
        }
        Ok(false)
    };
    found().map_err(|error| at(path, error))
}

/// Whether the lines at some places have the form, and rise.
fn look_over(path: &Path, digits: usize) -> Result<(), BreachedError> {
    let look = || {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        let mut file = BufReader::with_capacity(512, file);
        let mut before: Option<Line> = None;
        for look in 0..LOOKS {
            let Some(line) = line_from(&mut file, length / LOOKS * look, digits)? else { break };
            if let Some(before) = before.filter(|before| before.from < line.from && before.hash >= line.hash)
            {
                let what = format!(
                    "it is not sorted by hash: what begins at byte {} should come after what begins at byte {}",
                    before.from, line.from
                );
                return Err(io::Error::new(io::ErrorKind::InvalidData, what));
            }
            before = Some(line);
        }
        match before {
            Some(_) => Ok(()),
            None => Err(io::Error::new(io::ErrorKind::InvalidData, "it is empty")),
        }
    };
    look().map_err(|error| at(path, error))
}

fn at(path: &Path, error: io::Error) -> BreachedError {
    BreachedError { path: path.to_owned(), what: error.to_string() }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn sha1(text: &str) -> String {
        Sha1::digest(text).iter().map(|byte| format!("{byte:02X}")).collect()
    }

    fn breached(number: usize) -> String {
        format!("breached password number {number}")
    }

    /// A sorted file of so many breached passwords, with lines as the published ones have them.
    fn sorted_lines(many: usize) -> Vec<String> {
        let mut lines: Vec<_> =
            (0..many).map(|number| format!("{}:{}", sha1(&breached(number)), number * number)).collect();
        lines.sort_unstable();
        lines
    }

    #[test]
    fn every_hash_of_a_sorted_file_is_found_and_no_other() {
        // R58
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list");
        for (many, end) in [(1, ""), (2, "\n"), (1_000, "\r\n"), (1_001, "\n")] {
            let between = if end.is_empty() { "\n" } else { end };
            fs::write(&path, sorted_lines(many).join(between) + end).unwrap();
            let list = Breached::open(&path).unwrap();
            for number in 0..many {
                assert!(list.has(&breached(number)).unwrap(), "{number} of {many}");
            }
            for number in many..many + 500 {
                assert!(!list.has(&breached(number)).unwrap(), "{number} of {many}");
            }
        }
        fs::write(&path, sorted_lines(100).join("\n").to_lowercase()).unwrap();
        assert!(Breached::open(&path).unwrap().has(&breached(7)).unwrap(), "small letters are digits, too");
    }

    #[test]
    fn range_files_are_looked_up_by_the_first_five_digits() {
        // R58
        let folder = tempfile::tempdir().unwrap();
        let (prefix, rest) =
            (sha1("hunter2hunter2!")[..5].to_owned(), sha1("hunter2hunter2!")[5..].to_owned());
        for look in 0..LOOKS {
            let name = format!("{:05X}", look * 0xF_FFFF / (LOOKS - 1));
            fs::write(folder.path().join(name), format!("{}:1\r\n", "A".repeat(35))).unwrap();
        }
        let list = Breached::open(folder.path()).unwrap();
        let missing = list.has("hunter2hunter2!").unwrap_err().to_string();
        assert!(missing.contains(&prefix), "what is missing is an error and no answer: {missing}");
        fs::write(
            folder.path().join(format!("{prefix}.txt")),
            format!("{rest}:3\r\n{}:1\r\n", "F".repeat(35)),
        )
        .unwrap();
        assert!(list.has("hunter2hunter2!").unwrap());
        fs::write(folder.path().join(format!("{prefix}.txt")), format!("{}:1\r\n", "F".repeat(35))).unwrap();
        assert!(!list.has("hunter2hunter2!").unwrap());
        fs::remove_file(folder.path().join("FFFFF")).unwrap();
        assert!(Breached::open(folder.path()).unwrap_err().to_string().contains("no range file FFFFF"));
    }

    #[test]
    fn a_list_that_is_none_or_is_not_sorted_is_refused_with_the_place() {
        // R58
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list");
        let open = |text: &str| {
            fs::write(&path, text).unwrap();
            Breached::open(&path).map(drop).map_err(|error| error.to_string())
        };
        let lines = sorted_lines(1_000);
        assert_eq!(open(&lines.join("\n")), Ok(()));
        let mut unsorted = lines.clone();
        unsorted.reverse();
        let mut by_count = lines.clone();
        by_count.rotate_left(500);
        let ntlm: Vec<_> = lines.iter().map(|line| format!("{}:1", &line[..32])).collect();
        for (text, why) in [
            (String::new(), "empty"),
            ("password\n123456\n".to_owned(), "byte 0"),
            (unsorted.join("\n"), "not sorted"),
            (by_count.join("\n"), "not sorted"),
            (ntlm.join("\n"), "40 hexadecimal digits"),
            ("\u{0}".repeat(10_000), "byte 0"),
        ] {
            let error = open(&text).unwrap_err();
            assert!(error.contains(why) && error.contains("list"), "{error}");
        }
        let missing = Breached::open(&folder.path().join("nowhere")).unwrap_err().to_string();
        assert!(missing.contains("nowhere"), "{missing}");
    }
}
