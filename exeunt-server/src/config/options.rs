//! Every option there is, with what it means: the one place for the file, the variables, the flags and their help.
//!
//! Must never decide anything: what is not set stays unset here.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use exeunt::Lifetime;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{Colour, Link, MailFrom, Place, PublicUrl, SmtpUrl};

/// The options, as far as they are set. A field's documentation is its help, and its comment in `exeunt config`.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Where to listen: an IP address and a port. Anything but loopback needs a public URL, too.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<SocketAddr>,

    /// Where sessions live: a file, made if there is none, or a URL such as redis://h:6379, postgres://u@h/db. A relative
    /// path starts where the program does. A password in a URL can be seen in the list of processes if it is given as
    /// a flag: set it in the file, or by a variable.
    #[arg(long, value_name = "FILE|URL", value_parser = Place::parser())]
    pub store: Option<Place>,

    /// Where accounts live: a file or a postgres:// URL. If it is not set: where sessions live. Redis keeps none. A file
    /// is one server's alone, so servers that share sessions share their accounts in PostgreSQL.
    #[arg(long, value_name = "FILE|URL", value_parser = Place::parser())]
    pub accounts: Option<Place>,

    /// The most connections that are open at once. Others wait until one closes. Each may take up to 256 KiB of memory,
    /// and one file descriptor: if the system allows fewer, so does the server.
    #[arg(long, value_name = "NUMBER")]
    pub max_connections: Option<usize>,

    /// How people reach this server: https://, a host, maybe a port, nothing more. Links, cookies and the cross-site
    /// check go by it, never by the Host header. TLS is up to the proxy in front. Without it, the server is for this
    /// machine alone.
    #[arg(long, value_name = "URL")]
    pub public_url: Option<PublicUrl>,

    /// The origins whose pages may call the API in the session of whoever looks at them, written like the public URL:
    /// exactly these. If it is not set: none. A page of another site, and not just of another host of the same domain,
    /// needs cookie_same_site = none besides.
    #[arg(long, value_name = "ORIGINS", value_delimiter = ',')]
    pub allowed_origins: Option<Vec<PublicUrl>>,

    /// The proxies whose Forwarded and X-Forwarded-For headers are believed: addresses, or networks such as
    /// 10.0.0.0/8. From anybody else, these headers are ignored.
    #[arg(long, value_name = "NETWORKS", value_delimiter = ',', value_parser = network)]
    #[serde(default, with = "networks")]
    pub trusted_proxies: Option<Vec<IpNet>>,

    /// A session ends this long after it was last used, such as 30m.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    #[serde(default, with = "duration")]
    pub idle_timeout: Option<Duration>,

    /// A session ends this long after login, used or not, such as 8h.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    #[serde(default, with = "duration")]
    pub absolute_timeout: Option<Duration>,

    /// A session whose owner asked to be remembered ends this long after login, in place of both timeouts. At most
    /// 400 days.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    #[serde(default, with = "duration")]
    pub remember_for: Option<Duration>,

    /// The most sessions of one account. One login more ends the session that was unused the longest.
    #[arg(long, value_name = "NUMBER")]
    pub sessions_per_account: Option<usize>,

    /// The fewest characters of a new password: 8 to 64. Fewer than 15 are for where a second factor is asked for, too. Passwords
    /// that there are stay valid.
    #[arg(long, value_name = "NUMBER")]
    pub password_min_length: Option<usize>,

    /// A list of passwords from breaches, none of which may be set: a file of SHA-1 hashes sorted by hash, or a folder of
    /// range files, as Have I Been Pwned publishes them. It is read where it lies. If it is not set: the built-in list
    /// of common passwords alone.
    #[arg(long, value_name = "FILE|FOLDER")]
    pub breached_passwords: Option<PathBuf>,

    /// How many passwords are checked at once: each takes 19 MiB of memory, and a core. 64 more wait for each, and whoever
    /// comes then is told to try again (503). If it is not set: as many as there are cores.
    #[arg(long, value_name = "NUMBER")]
    pub passwords_at_once: Option<usize>,

    /// Events in the audit table are forgotten this long after they happened, such as 90days. They hold addresses and
    /// clients, so not longer than you look back.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    #[serde(default, with = "duration")]
    pub keep_events_for: Option<Duration>,

    /// The status that logout answers with if the store could not end the session: 400 to 599.
    #[arg(long, value_name = "STATUS")]
    pub logout_failure_status: Option<u16>,

    /// The name of the session cookie. If it is not set: __Host-session; with a cookie domain __Secure-session; with
    /// a public URL of plain http, or none, session.
    #[arg(long, value_name = "NAME")]
    pub cookie_name: Option<String>,

    /// Sends the cookie to this domain and all hosts below it. If it is not set, it goes to this server alone, which
    /// is safer.
    #[arg(long, value_name = "DOMAIN")]
    pub cookie_domain: Option<String>,

    /// Whether links from other sites arrive logged in: lax (they do), strict (they do not), or none (so does every other
    /// request from another site; over https alone, and only of use with allowed_origins).
    #[arg(long, value_name = "lax|strict|none")]
    pub cookie_same_site: Option<SameSite>,

    /// The memory for live sessions, in MiB, so that most requests do not ask the file. 0 for none. Sessions that live
    /// elsewhere than in a file are asked for there each time: another server may have ended them.
    #[arg(long, value_name = "MIB")]
    pub near_cache_mib: Option<usize>,

    /// What the pages call this server.
    #[arg(long, value_name = "NAME")]
    pub brand_name: Option<String>,

    /// An image for the top of the pages and the browser's tab: .svg, .png, .webp or .jpg, best square.
    #[arg(long, value_name = "FILE")]
    pub brand_logo: Option<PathBuf>,

    /// The colour of buttons and links, such as #0b57d0. It is made darker, or in dark mode lighter, as far as it takes to
    /// be readable.
    #[arg(long, value_name = "COLOUR")]
    pub brand_accent: Option<Colour>,

    /// Links at the foot of every page, such as Privacy=/privacy.
    #[arg(long, value_name = "TEXT=URL", value_delimiter = ',')]
    pub brand_links: Option<Vec<Link>>,

    /// A folder with templates/*.html in place of the server's own of that name, and texts/*.ftl that change what pages say
    /// or add a language. It is read at start, and an error in it names file and line.
    #[arg(long, value_name = "FOLDER")]
    pub brand_folder: Option<PathBuf>,

    /// The language of pages where a browser asks for none that there is, and of messages that nobody asked for: en, de, or
    /// another one of the brand folder. Who asks for a link to reset a password gets it in the language of their browser.
    #[arg(long, value_name = "LANGUAGE")]
    pub language: Option<String>,

    /// Where to listen for Prometheus, which gets figures at /metrics there: an IP address and a port, such as
    /// 127.0.0.1:9090. If it is not set, nothing is measured. Whoever can reach it can read it.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub metrics: Option<SocketAddr>,

    /// The mail server that messages go to: smtps://user:password@mail.example.org (TLS), or smtp://… (STARTTLS, without
    /// which nothing is sent; a server on this machine needs none). Messages are links to reset a password, and notices
    /// of changes of an account. A password in a URL can be seen in the list of processes if it is given as a flag: set
    /// it in the file, or by a variable.
    #[arg(long, value_name = "URL", value_parser = SmtpUrl::parser())]
    pub smtp: Option<SmtpUrl>,

    /// The folder that messages go to in place of a mail server, one file each: for development.
    #[arg(long, value_name = "FOLDER")]
    pub mail_dir: Option<PathBuf>,

    /// Whether messages go to the log in place of a mail server, with their links: for development, since whoever reads
    /// the log can then set passwords.
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub mail_log: Option<bool>,

    /// Whom messages come from. If it is not set: no-reply at the host of the public URL.
    #[arg(long, value_name = "ADDRESS")]
    pub mail_from: Option<MailFrom>,

    /// How long a link to reset a password can be used: 1m to 24h. Long enough for slow mail, short since it opens the
    /// account to whoever reads it.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    #[serde(default, with = "duration")]
    pub reset_link_for: Option<Duration>,

    /// How to write the log: text or json. If it is not set: text on a terminal, JSON otherwise.
    #[arg(long, value_name = "text|json")]
    pub log_format: Option<LogFormat>,

    /// What to log: a level, or levels by module, such as info,exeunt=debug.
    #[arg(long, value_name = "FILTER")]
    pub log: Option<String>,
}

/// Attacks are often found weeks later: PCI DSS 4.0 (10.5.1) wants three months at hand. Addresses and clients are personal
/// data, which is a reason for not more.
const KEEP_EVENTS_FOR: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// Whether the cookie comes along when another site links here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SameSite {
    /// It does, when a link is followed.
    Lax,
    /// It does not.
    Strict,
    /// It does, and with every other request from there, too.
    None,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text for people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Options {
    /// What holds where nothing is set.
    #[must_use]
    pub fn defaults() -> Self {
        let lifetime = Lifetime::default();
        Self {
            listen: Some(SocketAddr::from(([127, 0, 0, 1], 8080))),
            store: Some(Place::File("exeunt.db".into())),
            accounts: None,
            max_connections: Some(1_024),
            public_url: None,
            allowed_origins: Some(Vec::new()),
            trusted_proxies: Some(Vec::new()),
            idle_timeout: Some(lifetime.idle()),
            absolute_timeout: Some(lifetime.absolute()),
            remember_for: Some(lifetime.remembered()),
            sessions_per_account: Some(100),
            password_min_length: Some(15),
            breached_passwords: None,
            passwords_at_once: None,
            keep_events_for: Some(KEEP_EVENTS_FOR),
            logout_failure_status: Some(400),
            cookie_name: None,
            cookie_domain: None,
            cookie_same_site: Some(SameSite::Lax),
            near_cache_mib: Some(64),
            brand_name: Some("exeunt".to_owned()),
            brand_logo: None,
            brand_accent: None,
            brand_links: Some(Vec::new()),
            brand_folder: None,
            language: Some("en".to_owned()),
            metrics: None,
            smtp: None,
            mail_dir: None,
            mail_log: Some(false),
            mail_from: None,
            reset_link_for: Some(Duration::from_secs(20 * 60)),
            log_format: None,
            log: Some("info".to_owned()),
        }
    }

    /// These options, and those of `below` where nothing is set here.
    #[must_use]
    pub fn over(self, below: Self) -> Self {
        Self {
            listen: self.listen.or(below.listen),
            store: self.store.or(below.store),
            accounts: self.accounts.or(below.accounts),
            max_connections: self.max_connections.or(below.max_connections),
            public_url: self.public_url.or(below.public_url),
            allowed_origins: self.allowed_origins.or(below.allowed_origins),
            trusted_proxies: self.trusted_proxies.or(below.trusted_proxies),
            idle_timeout: self.idle_timeout.or(below.idle_timeout),
            absolute_timeout: self.absolute_timeout.or(below.absolute_timeout),
            remember_for: self.remember_for.or(below.remember_for),
            sessions_per_account: self.sessions_per_account.or(below.sessions_per_account),
            password_min_length: self.password_min_length.or(below.password_min_length),
            breached_passwords: self.breached_passwords.or(below.breached_passwords),
            passwords_at_once: self.passwords_at_once.or(below.passwords_at_once),
            keep_events_for: self.keep_events_for.or(below.keep_events_for),
            logout_failure_status: self.logout_failure_status.or(below.logout_failure_status),
            cookie_name: self.cookie_name.or(below.cookie_name),
            cookie_domain: self.cookie_domain.or(below.cookie_domain),
            cookie_same_site: self.cookie_same_site.or(below.cookie_same_site),
            near_cache_mib: self.near_cache_mib.or(below.near_cache_mib),
            brand_name: self.brand_name.or(below.brand_name),
            brand_logo: self.brand_logo.or(below.brand_logo),
            brand_accent: self.brand_accent.or(below.brand_accent),
            brand_links: self.brand_links.or(below.brand_links),
            brand_folder: self.brand_folder.or(below.brand_folder),
            language: self.language.or(below.language),
            metrics: self.metrics.or(below.metrics),
            smtp: self.smtp.or(below.smtp),
            mail_dir: self.mail_dir.or(below.mail_dir),
            mail_log: self.mail_log.or(below.mail_log),
            mail_from: self.mail_from.or(below.mail_from),
            reset_link_for: self.reset_link_for.or(below.reset_link_for),
            log_format: self.log_format.or(below.log_format),
            log: self.log.or(below.log),
        }
    }
}

/// A network, or an address for itself alone.
fn network(text: &str) -> Result<IpNet, String> {
    let parsed = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    parsed.map_err(|_| format!("{text:?} is neither an IP address nor a network such as 10.0.0.0/8"))
}

mod networks {
    use super::{Deserialize, IpNet, network};
    use serde::{Deserializer, Serialize as _, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(
        value: &Option<Vec<IpNet>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        value.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Vec<IpNet>>, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        texts.iter().map(|text| network(text).map_err(D::Error::custom)).collect::<Result<_, _>>().map(Some)
    }
}

mod duration {
    use super::{Deserialize, Duration};
    use serde::{Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(
        value: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(duration) => serializer.collect_str(&humantime::format_duration(*duration)),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        let text = String::deserialize(deserializer)?;
        humantime::parse_duration(&text).map(Some).map_err(|error| {
            D::Error::custom(format_args!("{text:?} is not a duration such as \"30m\" or \"8h\": {error}"))
        })
    }
}
