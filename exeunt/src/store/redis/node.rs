//! One server, or sentinel, and the connection to it.
//!
//! Must never hand on a connection that broke or went silent, and must never keep data on a server that is not set up
//! for it: each new connection is looked over first.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, FromRedisValue, IntoConnectionInfo as _, Pipeline,
    ProtocolVersion, PushInfo, PushKind, RedisConnectionInfo, RedisError, TlsCertificates, Value,
};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use super::check::Found;
use super::error::{ConnectError, Fault, is_refusal};
use super::url::{Config, Host, Login, Mode};

/// Connections kept for one step at a time; a moment with more of them must not hold on to them for ever.
const MOST_SPARE: usize = 16;

/// Connections for one step at a time that are open at once. While replicas are silent each holds its own for a deadline,
/// and anybody can ask for a logout.
const MOST_ALONE: usize = 64;

/// What we want of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// To keep sessions: it is looked over.
    Primary,
    /// To say where the primaries are.
    Guide,
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) host: Host,
    role: Role,
    config: Arc<Config>,
    open: Mutex<Option<Arc<Open>>>,
    // One attempt at a time, and whoever waits meanwhile shares what comes of it.
    connecting: tokio::sync::Mutex<()>,
    /// Connections for one step at a time, since `WAIT` holds up whatever else uses its connection.
    spare: Mutex<Vec<Arc<Open>>>,
    /// Whoever has one of these may have a connection for itself.
    pub(super) alone: Semaphore,
}

#[derive(Debug)]
pub(super) struct Open {
    host: Host,
    connection: MultiplexedConnection,
    alive: Arc<AtomicBool>,
}

impl Node {
    pub(super) fn new(host: Host, role: Role, config: Arc<Config>) -> Self {
        let (open, connecting, spare) = Default::default();
        Self { host, role, config, open, connecting, spare, alone: Semaphore::new(MOST_ALONE) }
    }

    /// Sends a command over the connection that all share.
    pub(super) async fn ask(&self, command: &Cmd, until: Instant) -> Result<Value, Fault> {
        self.open(until).await?.ask(command, until).await
    }

    /// Sends several at once. The first that is refused makes an error of all.
    pub(super) async fn ask_all(&self, commands: &Pipeline, until: Instant) -> Result<Vec<Value>, Fault> {
        self.open(until).await?.ask_all(commands, until).await
    }

    /// Whether it is still the primary that it was when the connection was made.
    pub(super) async fn still_primary(&self, open: &Open, until: Instant) -> Result<(), Fault> {
        let Value::Array(role) = open.ask(&redis::cmd("ROLE"), until).await? else {
            return Err(Fault::Form("ROLE has another form than is known"));
        };
        if matches!(role.first(), Some(Value::BulkString(name)) if name == b"master") {
            return Ok(());
        }
        self.close();
        Err(Fault::NoPrimary { what: format!("{} is no primary any more", self.host), source: None })
    }

    /// The connection, made anew if need be.
    pub(super) async fn open(&self, until: Instant) -> Result<Arc<Open>, Fault> {
        if let Some(open) = self.opened() {
            return Ok(open);
        }
        let attempt = async {
            let _one = self.connecting.lock().await;
            if let Some(open) = self.opened() {
                return Ok(open);
            }
            let open = self.connect(until).await?;
            *self.open.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&open));
            Ok(open)
        };
        timeout_at(until, attempt).await.unwrap_or_else(|_| Err(self.is_silent().into()))
    }

    /// The connection, if there is one.
    pub(super) fn opened(&self) -> Option<Arc<Open>> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.as_ref().filter(|open| open.alive.load(Ordering::SeqCst)).cloned()
    }

    /// Forgets the connection: the next step makes a new one.
    pub(super) fn close(&self) {
        if let Some(open) = self.opened() {
            open.close();
        }
        self.spare.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// A connection that nobody else uses meanwhile. Whoever gives up leaves it to fall: an answer that is still to come
    /// must not be another's.
    pub(super) async fn take_spare(&self, until: Instant) -> Result<Arc<Open>, Fault> {
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
        match spare.filter(|open| open.alive.load(Ordering::SeqCst)) {
            Some(open) => Ok(open),
            None => Ok(self.connect(until).await?),
        }
    }

    pub(super) fn give_back(&self, open: Arc<Open>) {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if open.alive.load(Ordering::SeqCst) && spare.len() < MOST_SPARE {
            spare.push(open);
        }
    }

    async fn connect(&self, until: Instant) -> Result<Arc<Open>, ConnectError> {
        let connecting = async {
            let alive = Arc::new(AtomicBool::new(true));
            let open = match self.client().await {
                Ok(client) => {
                    let config = connection_config(&alive);
                    client.get_multiplexed_async_connection_with_config(&config).await
                }
                Err(error) => Err(error),
            };
            let mut connection = open.map_err(|error| self.cannot(error))?;
            if self.role == Role::Primary {
                let found = Found::of(&mut connection).await.map_err(|error| self.cannot(error))?;
                found.look_over(&self.host, &self.config.mode)?;
                for problem in found.problems(self.config.wait_replicas) {
                    tracing::warn!(server = %self.host, "{problem}");
                }
            }
            Ok(Arc::new(Open { host: self.host.clone(), connection, alive }))
        };
        timeout_at(self.patience(until), connecting).await.unwrap_or_else(|_| Err(self.is_silent()))
    }

    /// Where another server may have taken over, half of the time is left to find it.
    fn patience(&self, until: Instant) -> Instant {
        match self.config.mode {
            Mode::Standalone => until,
            _ => until - until.saturating_duration_since(Instant::now()) / 2,
        }
    }

    async fn client(&self) -> Result<Client, RedisError> {
        let Host { name, port } = self.host.clone();
        let tls = self.config.tls;
        let address = match tls {
            true => ConnectionAddr::TcpTls { host: name, port, insecure: false, tls_params: None },
            false => ConnectionAddr::Tcp(name, port),
        };
        let sentinel = self.role == Role::Guide && matches!(self.config.mode, Mode::Sentinel { .. });
        let (login, db) = match sentinel {
            true => (&self.config.sentinel_login, 0),
            false => (&self.config.login, self.config.db),
        };
        let info = address.into_connection_info()?.set_redis_settings(settings(login, db));
        if !tls {
            return Client::open(info);
        }
        let root_cert = self.config.ca.clone();
        let build = move || Client::build_with_tls(info, TlsCertificates { client_tls: None, root_cert });
        // It reads the machine's roots from the disk.
        let built = tokio::task::spawn_blocking(build).await;
        built.unwrap_or_else(|error| Err(std::io::Error::other(error).into()))
    }

    fn cannot(&self, error: RedisError) -> ConnectError {
        let address = self.host.to_string();
        if error.code() == Some("NOPERM") {
            let reason = format!("the user of the address may not do what is needed ({error})");
            return ConnectError::Setup { address, reason };
        }
        match is_refusal(&error) {
            true => ConnectError::Refused { address, source: error.into() },
            false => ConnectError::Unreachable { address, source: error.into() },
        }
    }

    fn is_silent(&self) -> ConnectError {
        let source = format!("no connection within {}", humantime::format_duration(self.config.deadline));
        ConnectError::Unreachable { address: self.host.to_string(), source: source.into() }
    }
}

impl Open {
    pub(super) async fn ask(&self, command: &Cmd, until: Instant) -> Result<Value, Fault> {
        let mut connection = self.connection.clone();
        // As `query_async` does it, without a box: each request asks once.
        let asked = async { connection.send_packed_command(command).await?.extract_error() };
        self.within(until, asked).await
    }

    /// Sends several at once. The first that is refused makes an error of all.
    async fn ask_all(&self, commands: &Pipeline, until: Instant) -> Result<Vec<Value>, Fault> {
        let mut connection = self.connection.clone();
        self.within(until, commands.query_async(&mut connection)).await
    }

    /// Sends a command on a key that is just moving to this server.
    pub(super) async fn ask_moving(&self, command: &Cmd, until: Instant) -> Result<Value, Fault> {
        let mut both = Pipeline::new();
        both.cmd("ASKING").ignore().add_command(command.clone());
        self.ask_all(&both, until).await?.pop().ok_or(Fault::Form("the server gave too few answers"))
    }

    async fn within<T>(
        &self,
        until: Instant,
        asked: impl Future<Output = Result<T, RedisError>>,
    ) -> Result<T, Fault> {
        let address = || self.host.clone();
        match timeout_at(until, asked).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(source)) => {
                let fault = Fault::Said { address: address(), source };
                if fault.ends_the_connection() {
                    self.close();
                }
                Err(fault)
            }
            Err(_) => {
                self.close();
                Err(Fault::Late { address: address() })
            }
        }
    }

    pub(super) async fn found(&self, until: Instant) -> Result<Found, Fault> {
        let mut connection = self.connection.clone();
        self.within(until, Found::of(&mut connection)).await
    }

    /// Whoever still waits for an answer on it may get it; nobody begins anything new.
    fn close(&self) {
        self.alive.store(false, Ordering::SeqCst);
    }
}

/// An answer as what it should be.
pub(super) fn answer<T: FromRedisValue>(value: Value) -> Result<T, Fault> {
    redis::from_redis_value(value).map_err(|_| Fault::Form("the server answered something unheard of"))
}

/// What a script says of a session: 1, or 0 if there is no such one. Nothing else may be taken for "gone".
pub(super) fn yes(value: &Value) -> Result<bool, Fault> {
    match value {
        Value::Int(1) => Ok(true),
        Value::Int(0) => Ok(false),
        _ => Err(Fault::Form("the server answered something unheard of")),
    }
}

fn connection_config(alive: &Arc<AtomicBool>) -> AsyncConnectionConfig {
    let alive = Arc::clone(alive);
    // It says so when the connection ends, so that no step has to find that out by failing.
    let heard = move |push: PushInfo| {
        if push.kind == PushKind::Disconnection {
            alive.store(false, Ordering::SeqCst);
        }
        Ok::<(), redis::aio::SendError>(())
    };
    // Each step brings its own deadline.
    AsyncConnectionConfig::new()
        .set_connection_timeout(None)
        .set_response_timeout(None)
        .set_push_sender(heard)
}

fn settings(login: &Login, db: i64) -> RedisConnectionInfo {
    let mut settings = RedisConnectionInfo::default()
        .set_db(db)
        .set_protocol(ProtocolVersion::RESP3)
        .set_lib_name("exeunt", env!("CARGO_PKG_VERSION"));
    if let Some(user) = &login.user {
        settings = settings.set_username(user);
    }
    if let Some(password) = &login.password {
        settings = settings.set_password(password);
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_a_no_is_a_no() {
        assert!(yes(&Value::Int(1)).unwrap());
        assert!(!yes(&Value::Int(0)).unwrap());
        for other in [Value::Nil, Value::Boolean(false), Value::Int(2), Value::Array(vec![])] {
            assert!(yes(&other).is_err(), "{other:?}");
        }
    }
}
