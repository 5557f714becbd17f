//! The address of the store: one URL that says everything.
//!
//! A password must never come out again but into a connection.

use std::fmt;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use url::Url;

use super::error::ConnectError;

const SERVER_PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;
const PREFIX: &str = "exeunt:";
const DEADLINE: Duration = Duration::from_secs(1);
const SHORTEST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(10);

/// One server's name and port.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Host {
    pub(super) name: String,
    pub(super) port: u16,
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name.contains(':') {
            true => write!(f, "[{}]:{}", self.name, self.port),
            false => write!(f, "{}:{}", self.name, self.port),
        }
    }
}

/// How the servers stand to each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Standalone,
    Sentinel { master: String },
    Cluster,
}

/// Who we are to a server.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Login {
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
}

/// What the URL says.
pub(super) struct Config {
    pub(super) mode: Mode,
    /// The servers, or the sentinels, that the URL names: at least one.
    pub(super) nodes: Vec<Host>,
    pub(super) tls: bool,
    /// The roots to trust in place of the machine's, as PEM.
    pub(super) ca: Option<Vec<u8>>,
    pub(super) login: Login,
    pub(super) sentinel_login: Login,
    pub(super) db: i64,
    pub(super) prefix: String,
    pub(super) deadline: Duration,
    pub(super) wait_replicas: u8,
    /// The URL without passwords.
    pub(super) shown: String,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Config({})", self.shown)
    }
}

impl Config {
    pub(super) fn parse(text: &str) -> Result<Self, ConnectError> {
        // What the parser says does not quote the text, which may hold a password.
        let url = Url::parse(text).map_err(|error| bad(format!("it is not a URL ({error})")))?;
        let (tls, kind) = scheme(url.scheme())?;
        let default_port = if kind == Kind::Sentinel { SENTINEL_PORT } else { SERVER_PORT };
        if url.fragment().is_some() {
            return Err(bad("it has a part after `#`: write `%23` where that belongs to a password"));
        }
        let mut config = Self {
            mode: Mode::Standalone,
            nodes: vec![first_node(&url, default_port)?],
            tls,
            ca: None,
            login: login(&url)?,
            sentinel_login: Login::default(),
            db: db(&url)?,
            prefix: PREFIX.to_owned(),
            deadline: DEADLINE,
            wait_replicas: 0,
            shown: shown(&url),
        };
        let mut master = None;
        for (name, value) in url.query_pairs() {
            match &*name {
                "node" if kind != Kind::Standalone => config.nodes.push(node(&value, default_port)?),
                "master" if kind == Kind::Sentinel => master = Some(value.into_owned()),
                "sentinel_user" if kind == Kind::Sentinel => {
                    config.sentinel_login.user = Some(value.into_owned());
                }
                "sentinel_password" if kind == Kind::Sentinel => {
                    config.sentinel_login.password = Some(value.into_owned());
                }
                _ => config.set(&name, &value)?,
            }
        }
        config.mode = match (kind, master) {
            (Kind::Standalone, _) => Mode::Standalone,
            (Kind::Cluster, _) if config.db != 0 => return Err(bad("a cluster has database 0 alone")),
            (Kind::Cluster, _) => Mode::Cluster,
            (Kind::Sentinel, Some(master)) if !master.is_empty() => Mode::Sentinel { master },
            (Kind::Sentinel, _) => {
                return Err(bad("sentinels are asked for a primary by its name: add `master=NAME`"));
            }
        };
        Ok(config)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), ConnectError> {
        match name {
            "prefix" => {
                // A brace would choose the slot, and put all sessions on one server.
                if !(1..=64).contains(&value.len()) || value.contains(['{', '}']) {
                    return Err(bad("`prefix` is 1 to 64 bytes long, without braces"));
                }
                value.clone_into(&mut self.prefix);
            }
            "deadline" => {
                let deadline = humantime::parse_duration(value).ok();
                self.deadline = deadline
                    .filter(|deadline| (SHORTEST..=LONGEST).contains(deadline))
                    .ok_or_else(|| bad("`deadline` is a time such as `1s` or `500ms`, from 50ms to 10s"))?;
            }
            "wait_replicas" => {
                let replicas = value.parse().ok().filter(|replicas| *replicas <= 9);
                self.wait_replicas =
                    replicas.ok_or_else(|| bad("`wait_replicas` is a number from 0 to 9"))?;
            }
            "ca" => {
                let read = |error| bad(format!("`ca` is a file of certificates (PEM), but {value}: {error}"));
                self.ca = Some(std::fs::read(value).map_err(read)?);
            }
            "node" | "master" | "sentinel_user" | "sentinel_password" => {
                return Err(bad(format!(
                    "`{name}` belongs to addresses that begin with redis+sentinel:// or (`node`) redis+cluster://"
                )));
            }
            _ => {
                return Err(bad(format!(
                    "nothing is known of `{name}`: there are prefix, deadline, wait_replicas, ca, node, master, \
                     sentinel_user and sentinel_password"
                )));
            }
        }
        Ok(())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Standalone,
    Sentinel,
    Cluster,
}

fn scheme(scheme: &str) -> Result<(bool, Kind), ConnectError> {
    let (server, kind) = match scheme.split_once('+') {
        None => (scheme, Kind::Standalone),
        Some((server, "sentinel")) => (server, Kind::Sentinel),
        Some((server, "cluster")) => (server, Kind::Cluster),
        Some(_) => ("", Kind::Standalone),
    };
    match server {
        "redis" | "valkey" => Ok((false, kind)),
        "rediss" | "valkeys" => Ok((true, kind)),
        _ => {
            Err(bad("it begins with redis://, rediss://, valkey:// or valkeys://, or with such a word and \
                      `+sentinel` or `+cluster`, as redis+cluster://"))
        }
    }
}

fn first_node(url: &Url, default_port: u16) -> Result<Host, ConnectError> {
    let name = match url.host() {
        Some(url::Host::Ipv6(address)) => address.to_string(),
        Some(host) => host.to_string(),
        None => return Err(bad("it names no host")),
    };
    Ok(Host { name, port: url.port().unwrap_or(default_port) })
}

fn node(text: &str, default_port: u16) -> Result<Host, ConnectError> {
    let wrong = || bad("`node` is a host and a port, as `node=h2:6379`");
    let (name, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((name, port)) => (name, port.strip_prefix(':')),
        None => text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port))),
    };
    let port = port.map_or(Ok(default_port), |port| port.parse().map_err(|_| wrong()))?;
    match name.is_empty() {
        true => Err(wrong()),
        false => Ok(Host { name: name.to_owned(), port }),
    }
}

fn login(url: &Url) -> Result<Login, ConnectError> {
    let decoded = |text: &str| {
        let text = percent_decode_str(text).decode_utf8().map(|text| text.into_owned());
        text.map_err(|_| bad("its user or password is not UTF-8"))
    };
    let user = Some(url.username()).filter(|user| !user.is_empty()).map(decoded).transpose()?;
    Ok(Login { user, password: url.password().map(decoded).transpose()? })
}

fn db(url: &Url) -> Result<i64, ConnectError> {
    match url.path().trim_start_matches('/') {
        "" => Ok(0),
        db => {
            db.parse::<u16>().map(i64::from).map_err(|_| bad("what follows the host is a database's number"))
        }
    }
}

fn shown(url: &Url) -> String {
    let mut shown = url.clone();
    // It fails for a URL without a host alone, which has no password.
    let _ = shown.set_password(None);
    let open: Vec<_> = url.query_pairs().filter(|(name, _)| name != "sentinel_password").collect();
    match open.is_empty() {
        true => shown.set_query(None),
        false => _ = shown.query_pairs_mut().clear().extend_pairs(open),
    }
    shown.into()
}

fn bad(reason: impl Into<String>) -> ConnectError {
    ConnectError::BadUrl { reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(name: &str, port: u16) -> Host {
        Host { name: name.to_owned(), port }
    }

    #[test]
    fn one_url_says_everything() {
        let config = Config::parse("redis://localhost").unwrap();
        assert_eq!(
            (config.mode, config.nodes, config.tls),
            (Mode::Standalone, vec![host("localhost", 6379)], false)
        );
        assert_eq!((config.db, &*config.prefix, config.deadline), (0, "exeunt:", Duration::from_secs(1)));
        assert_eq!(config.wait_replicas, 0);

        let text = "valkeys://anna:p%40ss%23%2F@[::1]:7000/3?prefix=a:&deadline=300ms&wait_replicas=2";
        let config = Config::parse(text).unwrap();
        assert_eq!((config.nodes, config.tls, config.db), (vec![host("::1", 7000)], true, 3));
        assert_eq!(config.login.user.as_deref(), Some("anna"));
        assert_eq!(config.login.password.as_deref(), Some("p@ss#/"));
        assert_eq!((&*config.prefix, config.deadline.as_millis(), config.wait_replicas), ("a:", 300, 2));

        let text = "redis+sentinel://:pw@h1/0?node=h2:1&node=[::1]:2&master=m&sentinel_user=s&sentinel_password=w%26";
        let config = Config::parse(text).unwrap();
        assert_eq!(config.mode, Mode::Sentinel { master: "m".to_owned() });
        assert_eq!(config.nodes, [host("h1", 26379), host("h2", 1), host("::1", 2)]);
        assert_eq!((config.login.user, config.login.password.as_deref()), (None, Some("pw")));
        assert_eq!(config.sentinel_login.user.as_deref(), Some("s"));
        assert_eq!(config.sentinel_login.password.as_deref(), Some("w&"));

        let config = Config::parse("rediss+cluster://h1:7000?node=h2").unwrap();
        assert_eq!((config.mode, config.tls), (Mode::Cluster, true));
        assert_eq!(config.nodes, [host("h1", 7000), host("h2", 6379)]);
    }

    #[test]
    fn what_is_shown_has_no_password() {
        // R39
        for (text, shown) in [
            ("redis://anna:secret@h/1?prefix=x:", "redis://anna@h/1?prefix=x%3A"),
            ("redis://:secret@h", "redis://h"),
            ("redis+sentinel://h?master=m&sentinel_password=secret", "redis+sentinel://h?master=m"),
            ("redis+sentinel://h?sentinel_password=secret&master=m", "redis+sentinel://h?master=m"),
        ] {
            let config = Config::parse(text).unwrap();
            assert_eq!(config.shown, shown);
            assert!(!format!("{config:?}").contains("secret"));
        }
    }

    #[test]
    fn a_wrong_url_is_told_what_is_wrong_and_nothing_secret() {
        for (text, said) in [
            ("secret", "not a URL"),
            ("http://h:secret@h", "begins with redis://"),
            ("redis+other://h", "begins with redis://"),
            ("redis:///0", "no host"),
            ("redis://h/x", "database's number"),
            ("redis://h?secret=1", "nothing is known of `secret`"),
            ("redis://:sec#ret@h", "not a URL"),
            ("redis://h/#x", "after `#`"),
            ("redis://h?node=h2:1", "`node` belongs to"),
            ("redis+cluster://h?master=m", "`master` belongs to"),
            ("redis+cluster://h/1", "database 0 alone"),
            ("redis+cluster://h?node=h2:x", "a host and a port"),
            ("redis+cluster://h?node=", "a host and a port"),
            ("redis+sentinel://h", "add `master=NAME`"),
            ("redis://h?prefix={a}", "without braces"),
            ("redis://h?prefix=", "1 to 64 bytes"),
            ("redis://h?deadline=1", "from 50ms to 10s"),
            ("redis://h?deadline=49ms", "from 50ms to 10s"),
            ("redis://h?deadline=11s", "from 50ms to 10s"),
            ("redis://h?wait_replicas=10", "from 0 to 9"),
            ("redis://h?ca=/nowhere.pem", "/nowhere.pem"),
        ] {
            let error = Config::parse(text).unwrap_err().to_string();
            assert!(error.contains(said), "{text}: {error}");
            assert!(text.contains("?secret") || !error.contains("secret"), "{error}");
        }
    }
}
