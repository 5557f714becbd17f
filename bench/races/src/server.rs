//! A server under attack: a process that says where it listens, and when a slow request began.
//!
//! Must never leave one behind.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use crate::client::{Heard, Request, ask};

/// How long a server may take to listen, or to begin a request.
const START_WITHIN: Duration = Duration::from_secs(60);
/// How long anybody waits for an answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// The requests that a server understands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Requests {
    pub(crate) login: Request<'static>,
    pub(crate) logout: Request<'static>,
    pub(crate) me: Request<'static>,
}

/// A server that runs until it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Option<Child>,
    lines: Receiver<String>,
    pub(crate) address: SocketAddr,
    requests: Requests,
}

impl Server {
    /// Starts it, and waits until it listens.
    pub(crate) fn start(mut command: Command, requests: Requests) -> Result<Self> {
        let shown = format!("{command:?}");
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("starting {shown}"))?;
        let stdout = child.stdout.take().context("it has an output")?;
        let (say, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // Nobody listens any more once the server is dropped.
                let _ = say.send(line);
            }
        });
        let mut server = Self::listening(([127, 0, 0, 1], 0).into(), requests, lines);
        server.child = Some(child);
        let line = server.line_with("listening on http://").with_context(|| shown)?;
        server.address = line.parse()?;
        Ok(server)
    }

    /// One that listens already.
    pub(crate) fn listening(address: SocketAddr, requests: Requests, lines: Receiver<String>) -> Self {
        Self { child: None, lines, address, requests }
    }

    /// The rest of the next line that begins so.
    fn line_with(&self, beginning: &str) -> Result<String> {
        let until = Instant::now() + START_WITHIN;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left).context("it ended, or said nothing in time")?;
            if let Some(rest) = line.strip_prefix(beginning) {
                return Ok(rest.trim().to_owned());
            }
        }
    }

    /// Waits until a slow request has its session.
    pub(crate) fn began(&self, id: u64) -> Result<()> {
        let said = self.line_with("began ")?;
        ensure!(said == id.to_string(), "request {said} began, not {id}");
        Ok(())
    }

    /// Whether the process ended by itself.
    pub(crate) fn has_ended(&mut self) -> Result<bool> {
        match &mut self.child {
            Some(child) => Ok(child.try_wait()?.is_some()),
            None => Ok(false),
        }
    }

    /// Logs in, and gives the cookie.
    pub(crate) fn login(&self) -> Result<String> {
        let heard = ask(self.address, self.requests.login, None, START_WITHIN);
        match heard.cookie() {
            Some(cookie) => Ok(cookie.to_owned()),
            None => bail!("a login gave no cookie: {heard:?}"),
        }
    }

    pub(crate) fn logout(&self, cookie: &str) -> Heard {
        ask(self.address, self.requests.logout, Some(cookie), PATIENCE)
    }

    pub(crate) fn me(&self, cookie: &str) -> Heard {
        ask(self.address, self.requests.me, Some(cookie), PATIENCE)
    }

    /// Whether the cookie is somebody's, which has to be known.
    pub(crate) fn is_live(&self, cookie: &str) -> Result<bool> {
        match self.me(cookie) {
            heard if heard.status() == Some(200) => Ok(true),
            heard if heard.status() == Some(401) => Ok(false),
            heard => bail!("neither logged in nor not: {heard:?}"),
        }
    }
}

/// A request that takes so long after it has its session, and then notes something in it or does not.
pub(crate) fn slow(address: SocketAddr, cookie: &str, id: u64, ms: u64, write: bool) -> Heard {
    let path = format!("/slow?id={id}&ms={ms}&write={write}");
    let request = Request { method: "GET", path: &path, body: None };
    ask(address, request, Some(cookie), START_WITHIN)
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // One that has ended already is no matter.
            drop(child.kill());
            drop(child.wait());
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use axum::Router;

    use super::*;
    use crate::targets::REQUESTS;

    /// A server within the test, which ends with it.
    pub(crate) fn serve(app: Router) -> Server {
        serve_saying(app, channel().1)
    }

    /// One that says something on these lines.
    pub(crate) fn serve_saying(app: Router, lines: Receiver<String>) -> Server {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                axum::serve(listener, app).await
            })
        });
        Server::listening(address, REQUESTS, lines)
    }
}
