//! Asks the server that owns a store.
//!
//! Must never take silence, or an answer that it cannot read, for "done".

use std::path::{Path, PathBuf};
use std::time::Duration;

use http::Request;
use http::header::{CONTENT_TYPE, HOST};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

use super::{check_length, socket_path};
use crate::admin::{Code, Command, Failure, Reply};

/// Longer than any command waits for the database and for a free core.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection to the server that owns a store.
#[derive(Debug)]
pub struct Owner {
    stream: UnixStream,
    store: PathBuf,
}

/// Reaches the server that owns `store`.
///
/// # Errors
///
/// That it cannot be reached: nothing was done.
pub async fn reach(store: &Path) -> Result<Owner, Failure> {
    let socket = socket_path(store);
    check_length(&socket).map_err(|error| unreachable(store, &error.to_string()))?;
    match UnixStream::connect(&socket).await {
        Ok(stream) => Ok(Owner { stream, store: store.to_owned() }),
        Err(error) => Err(unreachable(store, &format!("{}: {error}", socket.display()))),
    }
}

impl Owner {
    /// Has the server do a command. `Ok` only once the server has said that it is done.
    ///
    /// # Errors
    ///
    /// The server's own [`Failure`]; or that it did not answer, and nothing is known.
    pub async fn ask(self, command: &Command) -> Result<Reply, Failure> {
        let patience = match command {
            // Reads the whole file, however large.
            Command::Check => Duration::MAX,
            _ => PATIENCE,
        };
        let store = self.store.display().to_string();
        let unanswered = |why: &str| {
            let message = format!(
                "the server that owns {store} did not confirm ({why}): it is not known whether this was done"
            );
            Failure::new(Code::Store, message)
        };
        match tokio::time::timeout(patience, exchange(self.stream, command)).await {
            Err(_) => Err(unanswered("no answer within 30 s")),
            Ok(Err(error)) => Err(unanswered(&Failure::caused(Code::Store, &*error).message)),
            Ok(Ok(answer)) => answer,
        }
    }
}

fn unreachable(store: &Path, why: &str) -> Failure {
    let message = format!(
        "another process owns {}, and its control socket cannot be reached, so nothing was done ({why}); run this as \
         the user that the server runs as, or stop the server",
        store.display()
    );
    Failure::new(Code::Store, message)
}

type Unreadable = Box<dyn std::error::Error + Send + Sync>;

async fn exchange(stream: UnixStream, command: &Command) -> Result<Result<Reply, Failure>, Unreadable> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::post("/")
        .header(HOST, "localhost")
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(serde_json::to_vec(command)?)))?;
    let answered = async {
        let response = sender.send_request(request).await?;
        let done = response.status().is_success();
        let body = response.into_body().collect().await?.to_bytes();
        Ok::<_, Unreadable>((done, body))
    };
    let mut answered = std::pin::pin!(answered);
    let mut connection = std::pin::pin!(connection);
    let (done, body) = tokio::select! {
        answer = &mut answered => answer?,
        // The connection ends by itself when the server closes it; what it has read by then is still to be had.
        ended = &mut connection => { ended?; answered.await? }
    };
    match done {
        true => Ok(Ok(serde_json::from_slice(&body)?)),
        false => Ok(Err(serde_json::from_slice(&body)?)),
    }
}
