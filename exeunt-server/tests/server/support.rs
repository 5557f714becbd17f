//! The built program, a place for its files, and a client that sends exactly what a test says.
//!
//! Must never leave a server running, nor hide an answer behind a client that follows, retries or tidies up.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use exeunt::store::sqlite::rusqlite;
use tempfile::TempDir;

use crate::common::{Kept, Places};
use crate::kept;

pub(crate) const PASSWORD: &str = "correct horse battery staple";

/// What keeps the sessions and accounts of one server, which may be started on it again and again.
pub(crate) struct Place {
    dir: TempDir,
    pub(crate) places: Places,
}

impl Place {
    pub(crate) fn new(kept: Kept) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let places = kept.fresh(dir.path());
        Self { dir, places }
    }

    /// With an account `alice`.
    pub(crate) fn with_alice(kept: Kept) -> Self {
        Self::new(kept).and_alice()
    }

    fn and_alice(self) -> Self {
        self.run(["account", "add", "alice", "--password-stdin"], PASSWORD);
        self
    }

    /// On engines of the test's own.
    pub(crate) fn on(store: &str, accounts: Option<&str>) -> Self {
        let places = Places { store: store.to_owned(), accounts: accounts.map(str::to_owned) };
        Self { dir: tempfile::tempdir().unwrap(), places }
    }

    /// On engines of the test's own, with an account `alice`.
    pub(crate) fn with_alice_on(store: &str, accounts: Option<&str>) -> Self {
        Self::on(store, accounts).and_alice()
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Everything that servers here have logged so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Begins the log anew, while no server writes it.
    pub(crate) fn forget_log(&self) {
        let log = self.dir.path().join("log");
        kept::log(&log);
        fs::remove_file(log).unwrap();
    }

    /// Another SQLite connection to the sessions' file, which nobody who runs a server should open.
    pub(crate) fn connection(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(&self.places.store).unwrap()
    }

    /// A command on these files, its streams not yet chosen.
    pub(crate) fn command(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_exeunt"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("EXEUNT_") {
                command.env_remove(name);
            }
        }
        command.current_dir(self.dir.path()).args(args).args(["--store", &self.places.store]);
        if let Some(accounts) = &self.places.accounts {
            command.args(["--accounts", accounts]);
        }
        command
    }

    /// Runs a command with `input` to its end, which must be a good one.
    pub(crate) fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>, input: &str) -> String {
        let output = self.try_run(args, input);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a command with `input` to whatever end.
    pub(crate) fn try_run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>, input: &str) -> Output {
        kept::secret(input);
        let mut command = self.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A command that does not read its input closes it, which is no error of ours.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    }

    pub(crate) fn serve(&self) -> Server {
        self.serve_with(&[])
    }

    pub(crate) fn serve_with(&self, args: &[&str]) -> Server {
        self.serve_in(&[], args)
    }

    /// With these variables in its environment.
    pub(crate) fn serve_in(&self, variables: &[(&str, &str)], args: &[&str]) -> Server {
        Server::start(self, variables, args)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        kept::log(&self.dir.path().join("log"));
    }
}

/// A server that runs, until it is dropped at the latest.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    /// What it said before it listened.
    pub(crate) said: String,
    stdout: BufReader<std::process::ChildStdout>,
}

impl Server {
    fn start(place: &Place, variables: &[(&str, &str)], args: &[&str]) -> Self {
        Self::try_start(place, variables, args)
            .unwrap_or_else(|(status, said)| panic!("the server ended before it listened: {status} {said}"))
    }

    /// Or how it ended before it listened, and what it said and logged.
    pub(crate) fn try_start(
        place: &Place,
        variables: &[(&str, &str)],
        args: &[&str],
    ) -> Result<Self, (ExitStatus, String)> {
        let log = File::options().create(true).append(true).open(place.path().join("log")).unwrap();
        let mut command = place.command(["serve", "--listen", "127.0.0.1:0"]);
        command
            .envs(variables.iter().copied())
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log);
        let mut child = command.spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let mut server = Self { child, address: ([127, 0, 0, 1], 0).into(), said: String::new(), stdout };
        loop {
            let mut line = String::new();
            let read = server.stdout.read_line(&mut line).unwrap();
            if read == 0 {
                return Err((server.child.wait().unwrap(), format!("{}{}", server.said, place.log())));
            }
            if let Some(address) = line.trim_end().strip_prefix("listening on http://") {
                server.address = address.parse().unwrap();
                return Ok(server);
            }
            server.said.push_str(&line);
        }
    }

    /// `kill -9`.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, signal).unwrap();
    }

    /// Of the process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn wait(mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// `SIGTERM`, and what it said on standard output since it listened.
    pub(crate) fn stop(mut self) -> (ExitStatus, String) {
        self.signal(rustix::process::Signal::TERM);
        let mut said = String::new();
        self.stdout.read_to_string(&mut said).unwrap();
        (self.child.wait().unwrap(), said)
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// Sends bytes as they are, and reads one answer.
    pub(crate) fn send_raw(&self, bytes: &[u8]) -> Answer {
        let mut stream = self.connect();
        // A server may refuse before it has read everything.
        let _ = stream.write_all(bytes);
        Answer::read(&mut stream)
    }

    pub(crate) fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut text = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", self.address);
        for (name, value) in headers {
            text += &format!("{name}: {value}\r\n");
        }
        if !body.is_empty() || matches!(method, "POST" | "PUT" | "PATCH") {
            text += &format!("Content-Length: {}\r\n", body.len());
        }
        text += "\r\n";
        text += body;
        let mut stream = self.connect();
        let _ = stream.write_all(text.as_bytes());
        Answer::read_for(method, &mut stream)
    }

    /// As a program with a cookie would.
    pub(crate) fn call(&self, method: &str, path: &str, token: &str) -> Answer {
        self.send(method, path, &[("Cookie", token)], "")
    }

    pub(crate) fn try_login(&self, name: &str, password: &str) -> Answer {
        self.try_login_with(&[], name, password)
    }

    /// Where alice has a session already: the new one takes its place.
    pub(crate) fn try_login_over(&self, token: &str) -> Answer {
        self.try_login_with(&[("Cookie", token)], "alice", PASSWORD)
    }

    fn try_login_with(&self, headers: &[(&str, &str)], name: &str, password: &str) -> Answer {
        kept::secret(password);
        let body = serde_json::json!({"username": name, "password": password}).to_string();
        let headers = [headers, &[("Content-Type", "application/json")]].concat();
        self.send("POST", "/api/auth/login", &headers, &body)
    }

    /// Logs alice in.
    pub(crate) fn login(&self) -> String {
        let answer = self.try_login("alice", PASSWORD);
        assert_eq!((answer.status, answer.body.as_str()), (200, r#"{"user":"alice"}"#));
        answer.token()
    }

    pub(crate) fn me(&self, token: &str) -> u16 {
        self.call("GET", "/api/me", token).status
    }

    /// As a browser that goes to a page would.
    pub(crate) fn browse(&self, path: &str, token: Option<&str>) -> Answer {
        let mut headers = BROWSER.to_vec();
        headers.extend(token.map(|token| ("Cookie", token)));
        self.send("GET", path, &headers, "")
    }

    /// As a browser that sends a form of this site would.
    pub(crate) fn submit(&self, path: &str, token: Option<&str>, fields: &[(&str, &str)]) -> Answer {
        let origin = format!("http://{}", self.address);
        let mut headers = BROWSER.to_vec();
        headers.extend([
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("Origin", &origin),
            ("Sec-Fetch-Site", "same-origin"),
        ]);
        headers.extend(token.map(|token| ("Cookie", token)));
        let secret = ["password", "again", "secret", "current", "new"];
        fields.iter().filter(|(name, _)| secret.contains(name)).for_each(|(_, value)| kept::secret(value));
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.send("POST", path, &headers, &body)
    }
}

const BROWSER: [(&str, &str); 2] =
    [("Accept", "text/html,application/xhtml+xml,*/*;q=0.8"), ("Sec-Fetch-Mode", "navigate")];

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn is_badge(cookie: &str) -> bool {
    cookie.starts_with("client=") || cookie.starts_with("__Host-client=")
}

/// One HTTP answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn read(stream: &mut TcpStream) -> Self {
        Self::read_for("GET", stream)
    }

    /// An answer to that method: one to `HEAD` has no body.
    pub(crate) fn read_for(method: &str, stream: &mut TcpStream) -> Self {
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        let status = line.split(' ').nth(1).unwrap_or_else(|| panic!("no answer: {line:?}")).parse().unwrap();
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).unwrap();
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            if name.eq_ignore_ascii_case("set-cookie") {
                kept::cookie(value);
            }
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        let mut answer = Self { status, headers, body: String::new() };
        assert!(answer.header("transfer-encoding").is_none(), "answers are whole: {answer:?}");
        if method != "HEAD" {
            let length = answer.header("content-length").map_or(0, |length| length.parse().unwrap());
            let mut body = vec![0; length];
            stream.read_exact(&mut body).unwrap();
            answer.body = String::from_utf8(body).unwrap();
        }
        answer
    }

    /// Of cookies the session's: the badge of the client proves nothing, and has its own tests.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let all = self.headers.iter().filter(|(given, value)| given == name && !is_badge(value));
        let mut found = all.map(|(_, value)| value.as_str());
        let first = found.next();
        assert!(found.next().is_none(), "{name} twice: {self:?}");
        first
    }

    /// The badge of a client that this answer sets, as a browser sends it back.
    pub(crate) fn badge(&self) -> Option<&str> {
        let cookie = self.headers.iter().find(|(name, value)| name == "set-cookie" && is_badge(value));
        cookie.and_then(|(_, value)| value.split(';').next())
    }

    pub(crate) fn location(&self) -> &str {
        self.header("location").unwrap_or_else(|| panic!("no Location: {self:?}"))
    }

    /// The cookie that this answer sets, as a browser sends it back: name and token.
    pub(crate) fn token(&self) -> String {
        let cookie = self.header("set-cookie").unwrap_or_else(|| panic!("no cookie: {self:?}"));
        let (pair, _) = cookie.split_once(';').unwrap();
        let (_, token) = pair.split_once('=').unwrap();
        assert!(token.len() > 40, "{cookie}");
        pair.to_owned()
    }

    /// Whether this answer removes the cookie.
    pub(crate) fn removes_cookie(&self) -> bool {
        self.header("set-cookie").is_some_and(|cookie| {
            cookie.split(';').next().is_some_and(|pair| pair.ends_with('=')) && cookie.contains("Max-Age=0")
        })
    }

    /// A 401 as every 401 has to be (R26).
    pub(crate) fn is_401(&self) -> bool {
        self.status == 401
            && self.header("www-authenticate") == Some("Session realm=\"exeunt\"")
            && self.header("content-type") == Some("application/problem+json")
            && self.header("cache-control") == Some("no-store")
    }
}
