//! Keeps what servers logged, and the secrets that tests used, for `cargo xtask test` to look the ones up in the others (R39).
//!
//! Must never keep anything unless it is told where.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex};

/// The folder that `xtask/src/logs.rs` names.
static FOLDER: LazyLock<Option<PathBuf>> = LazyLock::new(|| std::env::var_os("KEPT_LOGS").map(PathBuf::from));

static SECRETS: LazyLock<Option<Mutex<File>>> = LazyLock::new(|| {
    let file = FOLDER.as_ref()?.join(format!("{}.secrets", std::process::id()));
    Some(Mutex::new(File::create(file).unwrap()))
});

/// A password, a token or a set-up secret that a test uses.
pub(crate) fn secret(secret: &str) {
    if let Some(file) = &*SECRETS {
        let line = format!("{}\n", serde_json::json!(secret));
        file.lock().unwrap().write_all(line.as_bytes()).unwrap();
    }
}

/// The token that a `Set-Cookie` has, if it is none that removes one. What comes after the session id in it, too, which is
/// the secret part.
pub(crate) fn cookie(set_cookie: &str) {
    let (pair, _) = set_cookie.split_once(';').unwrap_or((set_cookie, ""));
    let (_, token) = pair.split_once('=').unwrap_or_default();
    if let Some(rest) = token.get(11..) {
        secret(rest);
    }
}

/// What servers logged in one place.
pub(crate) fn log(log: &Path) {
    static NUMBERS: AtomicUsize = AtomicUsize::new(0);
    if let Some(folder) = &*FOLDER
        && log.exists()
    {
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        fs::copy(log, folder.join(format!("{}-{number}.log", std::process::id()))).unwrap();
    }
}
