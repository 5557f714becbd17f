//! Where the database is, and how it is spoken to: one URL.
//!
//! Must never show the password: neither in an error nor in [`Target::address`].

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};

use super::errors::ConnectError;

const DEADLINE: Duration = Duration::from_secs(1);
const SHORTEST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(10);
const CONNECTIONS: usize = 10;
const MOST_CONNECTIONS: usize = 1_000;

/// Passed on to the driver as they are.
const OF_THE_DRIVER: &[&str] = &[
    "user",
    "password",
    "dbname",
    "options",
    "application_name",
    "host",
    "hostaddr",
    "port",
    "tcp_user_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "channel_binding",
    "sslnegotiation",
];
const OURS: &[&str] = &["pooler", "pool", "deadline", "ca", "sslrootcert", "sslmode", "target_session_attrs"];

/// What a URL says.
#[derive(Debug)]
pub(super) struct Target {
    /// One for each host.
    pub(super) hosts: Vec<Config>,
    /// Whether a pooler hands every transaction to another connection.
    pub(super) pooled: bool,
    pub(super) connections: usize,
    pub(super) deadline: Duration,
    /// Whether certificates are needed at all.
    pub(super) tls: bool,
    pub(super) ca: Option<PathBuf>,
    /// The URL without the password.
    pub(super) address: String,
}

impl Target {
    pub(super) fn parse(url: &str) -> Result<Self, ConnectError> {
        let (plain, query) = split(url)?;
        let (mut pooled, mut connections, mut deadline) = (false, CONNECTIONS, DEADLINE);
        let (mut ca, mut ssl_mode) = (None, None);
        let mut passed = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let key = decoded(key)?;
            if OF_THE_DRIVER.contains(&&*key) {
                passed.push(format!("{key}={value}"));
                continue;
            }
            let value = decoded(value)?;
            match &*key {
                "pooler" => pooled = in_words(&key, &value, &[("transaction", true), ("none", false)])?,
                "pool" => connections = number(&value)?,
                "deadline" => deadline = span(&value)?,
                "ca" | "sslrootcert" => ca = Some(PathBuf::from(value)),
                "sslmode" => ssl_mode = Some(in_words(&key, &value, SSL_MODES)?),
                "target_session_attrs" => in_words(&key, &value, &[("read-write", ())])?,
                _ => {
                    let known = [OURS, OF_THE_DRIVER].concat().join(", ");
                    return Err(bad(format!("it knows no `{key}`; it knows {known}")));
                }
            }
        }
        let config = format!("{plain}?{}", passed.join("&")).parse::<Config>().map_err(|error| {
            // Its source names the part that is wrong, and no value.
            bad(std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string))
        })?;
        let addresses = hosts(&config)?;
        let on_this_machine = addresses.iter().all(Address::is_on_this_machine);
        let ssl_mode = ssl_mode.unwrap_or(if on_this_machine { SslMode::Disable } else { SslMode::Require });
        Ok(Self {
            address: address(&config, &addresses),
            hosts: addresses.iter().map(|host| one(&config, host, ssl_mode, deadline)).collect(),
            pooled,
            connections,
            deadline,
            tls: ssl_mode != SslMode::Disable,
            ca,
        })
    }
}

/// Whenever TLS is used, the certificate and the name in it are checked: there is no mode without.
const SSL_MODES: &[(&str, SslMode)] = &[
    ("disable", SslMode::Disable),
    ("prefer", SslMode::Prefer),
    ("require", SslMode::Require),
    ("verify-full", SslMode::Require),
];

/// The URL up to the `?`, and what follows.
fn split(url: &str) -> Result<(&str, &str), ConnectError> {
    let rest = ["postgres://", "postgresql://"].iter().find_map(|scheme| url.strip_prefix(scheme));
    let rest = rest.ok_or_else(|| bad("it begins with `postgres://` or `postgresql://`".to_owned()))?;
    // A password may have a `?` in it.
    let in_authority = rest.split('/').next().unwrap_or_default();
    if in_authority.matches('@').count() > 1 {
        // What follows the first would be taken for the host and shown.
        return Err(bad(
            "there is more than one `@` before the database: write `%40` in a password".to_owned()
        ));
    }
    let authority = rest.find('@').filter(|at| !rest.get(..*at).is_some_and(|before| before.contains('/')));
    let from = url.len() - rest.len() + authority.unwrap_or(0);
    let (before, after) = url.split_at(from);
    let (plain, query) = match after.find('?') {
        Some(mark) => (before.len() + mark, after.get(mark + 1..).unwrap_or_default()),
        None => (url.len(), ""),
    };
    if query.contains('@') {
        // Else what stands before it, perhaps a password, would be taken for an option and named in an error.
        return Err(bad(
            "there is an `@` after the `?`: write `%40`, and `%3F` for a `?` in a password".to_owned()
        ));
    }
    Ok((url.get(..plain).unwrap_or(url), query))
}

/// One server.
struct Address {
    host: Option<Host>,
    ip: Option<IpAddr>,
    port: u16,
}

impl Address {
    fn is_on_this_machine(&self) -> bool {
        match (&self.host, self.ip) {
            (Some(Host::Unix(_)), _) => true,
            (_, Some(ip)) => ip.is_loopback(),
            (Some(Host::Tcp(name)), None) => {
                name == "localhost" || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
            }
            (None, None) => false,
        }
    }

    fn shown(&self) -> String {
        let port = self.port;
        match (&self.host, self.ip) {
            (Some(Host::Unix(path)), _) => format!("{}:{port}", path.display()),
            (Some(Host::Tcp(name)), _) if name.contains(':') => format!("[{name}]:{port}"),
            (Some(Host::Tcp(name)), _) => format!("{name}:{port}"),
            (None, Some(ip)) => std::net::SocketAddr::new(ip, port).to_string(),
            (None, None) => String::new(),
        }
    }
}

fn hosts(config: &Config) -> Result<Vec<Address>, ConnectError> {
    let (names, ips, ports) = (config.get_hosts(), config.get_hostaddrs(), config.get_ports());
    let count = names.len().max(ips.len());
    if count == 0 {
        return Err(bad("it names no host".to_owned()));
    }
    if (!names.is_empty() && !ips.is_empty() && names.len() != ips.len())
        || (ports.len() > 1 && ports.len() != count)
    {
        return Err(bad("there are not as many ports and addresses as hosts".to_owned()));
    }
    Ok((0..count)
        .map(|index| Address {
            host: names.get(index).cloned(),
            ip: ips.get(index).copied(),
            port: ports.get(index).or(ports.first()).copied().unwrap_or(5432),
        })
        .collect())
}

/// The same for one host alone: several are tried at once, where the driver would try one after the other.
fn one(all: &Config, host: &Address, ssl_mode: SslMode, deadline: Duration) -> Config {
    let mut config = Config::new();
    match &host.host {
        Some(Host::Tcp(name)) => drop(config.host(name)),
        Some(Host::Unix(path)) => drop(config.host_path(path)),
        None => (),
    }
    if let Some(ip) = host.ip {
        config.hostaddr(ip);
    }
    if let Some(user) = all.get_user() {
        config.user(user);
    }
    if let Some(password) = all.get_password() {
        config.password(password);
    }
    if let Some(name) = all.get_dbname() {
        config.dbname(name);
    }
    if let Some(options) = all.get_options() {
        config.options(options);
    }
    if let Some(within) = all.get_tcp_user_timeout() {
        config.tcp_user_timeout(*within);
    }
    if let Some(interval) = all.get_keepalives_interval() {
        config.keepalives_interval(interval);
    }
    if let Some(retries) = all.get_keepalives_retries() {
        config.keepalives_retries(retries);
    }
    config
        .port(host.port)
        .application_name(all.get_application_name().unwrap_or("exeunt"))
        .keepalives(all.get_keepalives())
        .keepalives_idle(all.get_keepalives_idle())
        .channel_binding(all.get_channel_binding())
        .ssl_negotiation(all.get_ssl_negotiation())
        .ssl_mode(ssl_mode)
        // A name may have several addresses: one that is silent leaves time for the next.
        .connect_timeout(deadline / 2)
        .target_session_attrs(TargetSessionAttrs::ReadWrite);
    config
}

fn address(config: &Config, hosts: &[Address]) -> String {
    let user = config.get_user().map(|user| format!("{user}@")).unwrap_or_default();
    let hosts: Vec<_> = hosts.iter().map(Address::shown).collect();
    let name = config.get_dbname().map(|name| format!("/{name}")).unwrap_or_default();
    format!("postgres://{user}{}{name}", hosts.join(","))
}

fn bad(reason: String) -> ConnectError {
    ConnectError::BadUrl { reason }
}

fn decoded(text: &str) -> Result<String, ConnectError> {
    let text = percent_decode_str(text).decode_utf8();
    Ok(text.map_err(|_| bad("an option is no UTF-8".to_owned()))?.into_owned())
}

fn in_words<T: Copy>(key: &str, value: &str, words: &[(&str, T)]) -> Result<T, ConnectError> {
    let found = words.iter().find(|(word, _)| *word == value).map(|(_, meaning)| *meaning);
    found.ok_or_else(|| {
        let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        bad(format!("`{key}` is one of {}, not `{value}`", known.join(", ")))
    })
}

fn number(value: &str) -> Result<usize, ConnectError> {
    let number = value.parse().ok().filter(|number| (1..=MOST_CONNECTIONS).contains(number));
    number.ok_or_else(|| bad(format!("`pool` is 1 to {MOST_CONNECTIONS} connections, not `{value}`")))
}

fn span(value: &str) -> Result<Duration, ConnectError> {
    let span = humantime::parse_duration(value).ok().filter(|span| (SHORTEST..=LONGEST).contains(span));
    span.ok_or_else(|| bad(format!("`deadline` is 50ms to 10s, such as `deadline=1s`, not `{value}`")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(url: &str) -> String {
        let error = Target::parse(url).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("tops3cret"), "{error:?}");
        error.to_string()
    }

    #[test]
    fn what_is_not_said_has_the_documented_value() {
        let target = Target::parse("postgres://app:tops3cret@db.example/app").unwrap();
        assert_eq!((target.pooled, target.connections, target.deadline), (false, 10, Duration::from_secs(1)));
        assert_eq!(target.address, "postgres://app@db.example:5432/app");
        assert!(target.tls, "over a network");
        let [config] = &*target.hosts else { panic!("one host") };
        assert_eq!(config.get_ssl_mode(), SslMode::Require);
        assert_eq!(config.get_password(), Some(&b"tops3cret"[..]));
        assert!(!format!("{target:?}").contains("tops3cret"));
        for local in ["localhost", "127.0.0.1", "[::1]", "%2Frun%2Fpostgresql", "localhost,127.0.0.2"] {
            assert!(!Target::parse(&format!("postgres://{local}/app")).unwrap().tls, "{local}");
        }
        assert!(Target::parse("postgres://localhost,db.example/app").unwrap().tls);
    }

    #[test]
    fn every_option_is_read() {
        let url = "postgresql://a%40b:p%3Fs@[::1]:5433,h2/app?pooler=transaction&pool=3&deadline=250ms&ca=%2Fca.pem\
                   &sslmode=verify-full&options=-csearch_path%3Dsessions&target_session_attrs=read-write";
        let target = Target::parse(url).unwrap();
        assert_eq!(
            (target.pooled, target.connections, target.deadline),
            (true, 3, Duration::from_millis(250))
        );
        assert_eq!(target.ca, Some(PathBuf::from("/ca.pem")));
        assert_eq!(target.address, "postgres://a@b@[::1]:5433,h2:5432/app");
        let [first, second] = &*target.hosts else { panic!("two hosts") };
        assert_eq!((first.get_ports(), second.get_ports()), (&[5433][..], &[5432][..]));
        assert_eq!(second.get_hosts(), [Host::Tcp("h2".to_owned())]);
        for config in [first, second] {
            assert_eq!(config.get_user(), Some("a@b"));
            assert_eq!(config.get_password(), Some(&b"p?s"[..]));
            assert_eq!(config.get_options(), Some("-csearch_path=sessions"));
            assert_eq!(config.get_target_session_attrs(), TargetSessionAttrs::ReadWrite);
        }
        assert!(Target::parse("postgres://u:a?b@localhost/x?pool=2").unwrap().connections == 2);
        assert!(Target::parse("postgres:///app?host=/run/postgresql").is_ok());
    }

    #[test]
    fn what_is_wrong_is_named_without_the_password() {
        for (url, said) in [
            ("mysql://localhost/x", "begins with `postgres://`"),
            ("postgres://u:p@tops3cret@localhost/x", "more than one `@`"),
            ("postgres://u:tops3cret@localhost/x?colour=blue", "knows no `colour`"),
            ("postgres://u:tops3cret@localhost/x?pool=0", "1 to 1000"),
            ("postgres://u:tops3cret@localhost/x?deadline=1h", "50ms to 10s"),
            ("postgres://u:tops3cret@localhost/x?pooler=session", "`pooler` is one of transaction, none"),
            ("postgres://u:tops3cret@localhost/x?sslmode=allow", "`sslmode` is one of disable"),
            ("postgres://u:tops3cret@localhost/x?target_session_attrs=any", "one of read-write"),
            ("postgres://u:tops3cret@localhost:x/x", "port"),
            ("postgres://u:a/tops3cret?b@localhost/x", "%3F"),
            ("postgres:///x", "names no host"),
            ("postgres://a,b/x?hostaddr=127.0.0.1", "not as many"),
        ] {
            assert!(reason(url).contains(said), "{url}: {}", reason(url));
        }
    }
}
