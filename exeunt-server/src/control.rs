//! The control socket: how a command reaches the server that owns the file.
//!
//! HTTP on a Unix socket beside the file, for its owner alone (mode 0600). Must never take the socket of a running
//! server away, and must never let a command say "done" before the server has.

mod client;

use std::ffi::OsString;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Json, Router};
use exeunt::store::sqlite::Database;
use exeunt::{By, Origin};
use http::StatusCode;
use rustix::fs::Mode;
use rustix::process::umask;
use tokio::sync::oneshot;
use tracing::Instrument as _;

pub use self::client::{Owner, reach};
use crate::admin::{Admin, Code, Command};

/// The most bytes of a Unix socket's path (`sun_path` of Linux, less its final zero).
pub const LONGEST_PATH: usize = 107;

const DRAIN_WITHIN: Duration = Duration::from_secs(10);

/// Where the control socket of a store is: its path with `.sock` behind it.
#[must_use]
pub fn socket_path(store: &Path) -> PathBuf {
    let mut name = OsString::from(store);
    name.push(".sock");
    name.into()
}

/// Why there is no control socket.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// The path does not fit.
    #[error(
        "the control socket {} would have a path of {} bytes, and Unix allows 107: move the store to a shorter path",
        path.display(), path.as_os_str().len()
    )]
    PathTooLong {
        /// What it would be.
        path: PathBuf,
    },
    /// The system refused.
    #[error("the control socket {} cannot be used: {source}", path.display())]
    Io {
        /// Where it was to be.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

pub(crate) fn check_length(path: &Path) -> Result<(), ControlError> {
    match path.as_os_str().len() > LONGEST_PATH {
        true => Err(ControlError::PathTooLong { path: path.to_owned() }),
        false => Ok(()),
    }
}

/// A bound control socket. Dropping it removes the socket's file.
#[derive(Debug)]
pub struct ControlSocket {
    listener: Option<tokio::net::UnixListener>,
    path: PathBuf,
    // As long as this is held, the lock of the store is, and so nobody else binds or removes the path.
    _owner: Database,
}

impl ControlSocket {
    /// Binds the socket of a store. Whoever has the [`Database`] open is its owner, so a socket that is there already
    /// was left behind by a server that is gone.
    ///
    /// Call it within a Tokio runtime.
    ///
    /// # Errors
    ///
    /// [`ControlError`]. The server can do without: commands then say that they cannot reach it.
    pub fn bind(database: &Database) -> Result<Self, ControlError> {
        let path = socket_path(database.path());
        check_length(&path)?;
        match bind(&path) {
            Ok(listener) => Ok(Self { listener: Some(listener), path, _owner: database.clone() }),
            Err(source) => Err(ControlError::Io { path, source }),
        }
    }

    /// The socket's file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Answers commands until `stopping` is ready, finishes those under way within 10 s, and removes the socket's file.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub async fn serve(
        mut self,
        admin: Admin,
        stopping: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        let Some(listener) = self.listener.take() else { return Ok(()) };
        let (told, tell) = oneshot::channel::<()>();
        let stopping = async move {
            stopping.await;
            drop(told);
        };
        let given_up = async {
            let _ = tell.await;
            tokio::time::sleep(DRAIN_WITHIN).await;
        };
        tokio::select! {
            served = axum::serve(listener, router(admin)).with_graceful_shutdown(stopping).into_future() => served,
            // Somebody holds a connection open and asks nothing.
            () = given_up => Ok(()),
        }
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        // What is left behind does no harm: the next server takes its place.
        let _ = std::fs::remove_file(&self.path);
    }
}

fn bind(path: &Path) -> io::Result<tokio::net::UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // The mode has to be right from the first moment, and only the process's umask can do that. Other files that are
    // created in this moment get narrower permissions, never wider ones.
    let before = umask(Mode::from_raw_mode(0o177));
    let bound = UnixListener::bind(path);
    umask(before);
    let listener = bound?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    tokio::net::UnixListener::from_std(listener)
}

fn router(admin: Admin) -> Router {
    Router::new().route("/", post(run)).with_state(admin)
}

async fn run(State(admin): State<Admin>, Json(command): Json<Command>) -> Response {
    // Every line that the command logs says by whom and why (R20).
    let span = tracing::info_span!("operator", by = "control_socket", command = command.name());
    // In a task of its own: a command that hangs up does not stop what it asked for half-way.
    let run = async move { admin.run(command).await };
    let done = tokio::spawn(Origin::default().by(By::Operator).scope(run.instrument(span))).await;
    match done {
        Ok(Ok(reply)) => Json(reply).into_response(),
        Ok(Err(failure)) => (status(failure.code), Json(failure)).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn status(code: Code) -> StatusCode {
    match code {
        Code::Failed => StatusCode::INTERNAL_SERVER_ERROR,
        Code::Usage => StatusCode::BAD_REQUEST,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::LastAdministrator => StatusCode::CONFLICT,
        Code::Store => StatusCode::SERVICE_UNAVAILABLE,
    }
}
