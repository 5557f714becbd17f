//! A copy of a SQLite file, while a server works on it or not.
//!
//! Must never overwrite a file, leave half a backup, or let others read it.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use exeunt::store::sqlite::rusqlite::Error::InvalidPath;
use exeunt::store::sqlite::{Beside, DatabaseError};

use crate::admin::{Code, Failure};
use crate::config::Place;

/// Writes what `place` has into `file`, and answers once it is durable: its bytes.
///
/// # Errors
///
/// [`Failure`] says why not; for engines that are not ours, by what means they are backed up. There is no new file then.
pub fn backup(place: &Place, file: &Path) -> Result<u64, Failure> {
    let path = match place {
        Place::File(path) => path,
        Place::Postgres(_) => {
            return Err(Failure::new(
                Code::Usage,
                format!("{place} is backed up by PostgreSQL's own means, such as `pg_dump --format=custom`"),
            ));
        }
        Place::Redis(_) => {
            return Err(Failure::new(
                Code::Usage,
                format!(
                    "{place} is backed up by Redis's own means: copies of its append-only file or of its snapshots. \
                     Accounts are never in Redis: name their place with --store to back it up"
                ),
            ));
        }
    };
    if !path.exists() {
        return Err(Failure::new(Code::Store, format!("there is no store at {}", path.display())));
    }
    let source = Beside::open(path).map_err(|error| Failure::caused(Code::Store, &error))?;
    write(&source, file)
}

fn write(source: &Beside, file: &Path) -> Result<u64, Failure> {
    let failed = |error: std::io::Error| {
        let code = match error.kind() {
            std::io::ErrorKind::AlreadyExists => Code::AlreadyExists,
            _ => Code::Failed,
        };
        Failure::new(code, format!("{}: {error}", file.display()))
    };
    if file.symlink_metadata().is_ok() {
        return Err(failed(std::io::ErrorKind::AlreadyExists.into()));
    }
    // Under another name until it is whole: who is cut off leaves nothing that looks like a backup.
    let mut part = file.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    // SQLite writes into an empty file, whose mode stays.
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part);
    made.map_err(|error| {
        Failure::new(
            Code::AlreadyExists,
            format!("{}: {error}; a backup that was cut off leaves it: remove it", part.display()),
        )
    })?;
    let copied = source.backup(&part).map_err(|error| match error {
        DatabaseError::Sqlite(error) if matches!(*error, InvalidPath(_)) => {
            Failure::new(Code::Usage, format!("{} is not UTF-8", file.display()))
        }
        error => Failure::caused(Code::Store, &error),
    });
    let written = copied.and_then(|()| {
        File::open(&part).and_then(|part| part.sync_all()).map_err(failed)?;
        // Unlike a rename this takes no name that somebody else has by now.
        std::fs::hard_link(&part, file).map_err(failed)
    });
    // It was made by us, and is of no more use.
    let _ = std::fs::remove_file(&part);
    written.and_then(|()| sync(file).map_err(failed))
}

/// The file, and the folder that has its name.
fn sync(file: &Path) -> std::io::Result<u64> {
    let written = File::open(file)?;
    written.sync_all()?;
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    File::open(folder)?.sync_all()?;
    Ok(written.metadata()?.len())
}
