//! Messages as files in a folder, for development and for whoever sends them by other means.
//!
//! Must never show half a message, take the name of another one, or let others than the server's user read it.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use exeunt::store::async_trait;

use super::letter::Letter;
use super::{Deliver, MailUnusable, Undelivered};

#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    written: AtomicU64,
}

impl Folder {
    /// Makes the folder if there is none.
    pub(super) fn new(path: &Path) -> Result<Self, MailUnusable> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map_err(|error| MailUnusable {
            reason: format!(
                "the folder {} of --mail-dir (mail_dir, EXEUNT_MAIL_DIR): {error}",
                path.display()
            ),
        })?;
        Ok(Self { path: path.to_owned(), written: AtomicU64::new(0) })
    }
}

#[async_trait]
impl Deliver for Folder {
    async fn deliver(&self, letter: &Letter) -> Result<(), Undelivered> {
        let number = self.written.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}-{:06}-{number:06}", letter.kind, std::process::id());
        let (folder, bytes) = (self.path.clone(), letter.bytes.clone());
        let written = tokio::task::spawn_blocking(move || write(&folder, &name, &bytes)).await;
        let failed = |reason: String| Undelivered { again: true, reason };
        written.map_err(|error| failed(error.to_string()))?.map_err(|error| failed(error.to_string()))
    }
}

/// Under another name until it is whole. A process of the same number may have written here before: the next free name.
fn write(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let part = folder.join(format!(".{name}.part"));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
    let linked = file.write_all(bytes).and_then(|()| {
        let mut again = 0;
        loop {
            let suffix = if again == 0 { String::new() } else { format!("-{again}") };
            // Unlike a rename this takes no name that another message has.
            match fs::hard_link(&part, folder.join(format!("{name}{suffix}.eml"))) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => again += 1,
                linked => break linked,
            }
        }
    });
    // It was made by us, and is of no more use.
    let _ = fs::remove_file(&part);
    linked
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_message_takes_no_other_ones_name_and_nobody_else_reads_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        let folder = Folder::new(&path).unwrap();
        for text in ["one", "two", "three"] {
            write(&folder.path, "x", text.as_bytes()).unwrap();
        }
        let mut names: Vec<_> = fs::read_dir(&path)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["x-1.eml", "x-2.eml", "x.eml"]);
        assert_eq!(fs::read_to_string(path.join("x-2.eml")).unwrap(), "three");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&path.join("x.eml"))), (0o700, 0o600));
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_an_error_that_names_it() {
        let error = Folder::new(Path::new("/dev/null/mail")).unwrap_err().to_string();
        assert!(error.contains("/dev/null/mail") && error.contains("EXEUNT_MAIL_DIR"), "{error}");
    }
}
