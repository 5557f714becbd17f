//! What can be set: a TOML file, then `EXEUNT_*` variables, then flags; the later one wins.
//!
//! Must never guess at what it does not know: an unknown key or variable is an error that names it.

mod branding;
mod mail;
mod options;
mod origins;
mod place;
mod print;
mod public_url;
mod sources;

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use exeunt::Lifetime;
use ipnet::IpNet;
use tracing_subscriber::EnvFilter;

pub use self::branding::{Colour, Link};
pub use self::mail::{Mail, MailFrom, SmtpSecurity, SmtpUrl, SmtpUrlError};
pub use self::options::{LogFormat, Options, SameSite};
use self::origins::origin_notices;
pub use self::place::{Address, Place, PlaceError};
pub use self::print::print;
pub use self::public_url::{PublicUrl, PublicUrlError};
pub use self::sources::{DEFAULT_FILE, read};

const SHORTEST: Duration = Duration::from_secs(1);
/// RFC 6265bis, section 5.5.
const LONGEST: Duration = Duration::from_secs(400 * 24 * 60 * 60);

const SHORTEST_RESET: Duration = Duration::from_secs(60);
const LONGEST_RESET: Duration = Duration::from_secs(24 * 60 * 60);
/// Less would be no audit.
const SHORTEST_KEPT: Duration = Duration::from_secs(60 * 60);
const LONGEST_KEPT: Duration = Duration::from_secs(3_650 * 24 * 60 * 60);

/// How the server is to run, each option decided. [`Options`] says what each means.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is documented at the field of the same name in `Options`")]
pub struct Config {
    pub listen: SocketAddr,
    pub store: Place,
    /// Where sessions live, if it is not set.
    pub accounts: Place,
    pub max_connections: usize,
    pub public_url: Option<PublicUrl>,
    pub allowed_origins: Vec<PublicUrl>,
    pub trusted_proxies: Vec<IpNet>,
    pub idle_timeout: Duration,
    pub absolute_timeout: Duration,
    pub remember_for: Duration,
    pub sessions_per_account: usize,
    pub password_min_length: usize,
    /// `None`: no list.
    pub breached_passwords: Option<PathBuf>,
    /// `None`: as many as cores.
    pub passwords_at_once: Option<usize>,
    pub keep_events_for: Duration,
    pub logout_failure_status: u16,
    /// `None`: `__Host-session`, or `session` where the public URL is plain http. [`Config::cookie_name`] decides.
    pub cookie_name: Option<String>,
    pub cookie_domain: Option<String>,
    pub cookie_same_site: SameSite,
    /// In bytes; 0 for none.
    pub near_cache_bytes: usize,
    pub brand_name: String,
    pub brand_logo: Option<PathBuf>,
    pub brand_accent: Option<Colour>,
    pub brand_links: Vec<Link>,
    pub brand_folder: Option<PathBuf>,
    pub language: String,
    /// `None`: nothing is measured.
    pub metrics: Option<SocketAddr>,
    /// One of `smtp`, `mail_dir` and `mail_log`.
    pub mail: Mail,
    /// `None`: `no-reply` at the host of the public URL.
    pub mail_from: Option<MailFrom>,
    pub reset_link_for: Duration,
    /// `None`: text on a terminal, JSON otherwise.
    pub log_format: Option<LogFormat>,
    pub log: String,
}

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file that was named cannot be read.
    #[error("cannot read the configuration file {}: {source}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file has an unknown key, or a value that cannot be.
    #[error("in the configuration file {}: {reason}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// The line, the key and the reason.
        reason: String,
    },
    /// A variable has a value that cannot be.
    #[error("in the environment variable {variable}: {reason}")]
    Variable {
        /// Its name.
        variable: String,
        /// What is wrong.
        reason: String,
    },
    /// There is no such option.
    #[error(
        "the environment variable {variable} names no option; `exeunt config` lists them all (listen is EXEUNT_LISTEN)"
    )]
    UnknownVariable {
        /// Its name.
        variable: String,
    },
    /// Two options do not go together, or one is out of range.
    #[error("{0}")]
    Refused(String),
}

impl Config {
    /// Reads the file and this process's environment, and puts `flags` on top.
    ///
    /// `file`: the file that a flag named; else `EXEUNT_CONFIG` names it; else `exeunt.toml` is read if there is one.
    ///
    /// # Errors
    ///
    /// [`ConfigError`].
    pub fn load(file: Option<&Path>, flags: Options) -> Result<Self, ConfigError> {
        Self::decide(read(file, std::env::vars_os(), flags)?)
    }

    /// Gives every option that is not set its default, and checks that they go together.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Refused`].
    pub fn decide(options: Options) -> Result<Self, ConfigError> {
        let ways = [options.smtp.is_some(), options.mail_dir.is_some(), options.mail_log == Some(true)];
        if ways.into_iter().filter(|&set| set).count() > 1 {
            return Err(refused(format_args!(
                "messages go one way: set one of smtp, mail_dir and mail_log, and leave out the others"
            )));
        }
        let mut options = options.over(Options::defaults());
        options.accounts = options.accounts.or_else(|| options.store.clone());
        let filled = Self::filled(options);
        let config = filled.expect("every option that has no default is optional here, too");
        config.check()?;
        Ok(config)
    }

    fn filled(options: Options) -> Option<Self> {
        Some(Self {
            listen: options.listen?,
            store: options.store?,
            accounts: options.accounts?,
            max_connections: options.max_connections?,
            public_url: options.public_url,
            allowed_origins: options.allowed_origins?,
            trusted_proxies: options.trusted_proxies?,
            idle_timeout: options.idle_timeout?,
            absolute_timeout: options.absolute_timeout?,
            remember_for: options.remember_for?,
            sessions_per_account: options.sessions_per_account?,
            password_min_length: options.password_min_length?,
            breached_passwords: options.breached_passwords,
            passwords_at_once: options.passwords_at_once,
            keep_events_for: options.keep_events_for?,
            logout_failure_status: options.logout_failure_status?,
            cookie_name: options.cookie_name,
            cookie_domain: options.cookie_domain,
            cookie_same_site: options.cookie_same_site?,
            near_cache_bytes: options.near_cache_mib?.saturating_mul(1024 * 1024),
            brand_name: options.brand_name?,
            brand_logo: options.brand_logo,
            brand_accent: options.brand_accent,
            brand_links: options.brand_links?,
            brand_folder: options.brand_folder,
            language: options.language?,
            metrics: options.metrics,
            mail: match (options.smtp, options.mail_dir, options.mail_log?) {
                (Some(url), _, _) => Mail::Smtp(url),
                (None, Some(folder), _) => Mail::Folder(folder),
                (None, None, true) => Mail::Log,
                (None, None, false) => Mail::Off,
            },
            mail_from: options.mail_from,
            reset_link_for: options.reset_link_for?,
            log_format: options.log_format,
            log: options.log?,
        })
    }

    fn check(&self) -> Result<(), ConfigError> {
        let lasting = [
            ("idle_timeout", self.idle_timeout),
            ("absolute_timeout", self.absolute_timeout),
            ("remember_for", self.remember_for),
        ];
        for (key, duration) in lasting {
            if !(SHORTEST..=LONGEST).contains(&duration) {
                return Err(refused(format_args!("{key} must be between 1s and 400days")));
            }
        }
        if self.idle_timeout > self.absolute_timeout {
            return Err(refused(format_args!("idle_timeout must not be longer than absolute_timeout")));
        }
        if !(SHORTEST_RESET..=LONGEST_RESET).contains(&self.reset_link_for) {
            return Err(refused(format_args!("reset_link_for must be between 1m and 24h")));
        }
        if !(SHORTEST_KEPT..=LONGEST_KEPT).contains(&self.keep_events_for) {
            return Err(refused(format_args!("keep_events_for must be between 1h and 3650days")));
        }
        if self.sessions_per_account == 0 {
            return Err(refused(format_args!("sessions_per_account must be at least 1")));
        }
        if self.passwords_at_once.is_some_and(|number| !(1..=1_024).contains(&number)) {
            return Err(refused(format_args!("passwords_at_once must be between 1 and 1024")));
        }
        if !(8..=64).contains(&self.password_min_length) {
            return Err(refused(format_args!("password_min_length must be between 8 and 64")));
        }
        if self.max_connections == 0 {
            return Err(refused(format_args!("max_connections must be at least 1")));
        }
        if self.metrics == Some(self.listen) && self.listen.port() != 0 {
            return Err(refused(format_args!(
                "metrics must not be the address of listen: it needs one of its own"
            )));
        }
        if !(400..=599).contains(&self.logout_failure_status) {
            return Err(refused(format_args!("logout_failure_status must be between 400 and 599")));
        }
        if self.logout_failure_status == 401 {
            return Err(refused(format_args!(
                "logout_failure_status must not be 401: that says that there is no session, and nobody knows that"
            )));
        }
        if !self.accounts.keeps_accounts() {
            return Err(refused(format_args!(
                "accounts cannot live in Redis ({}): set --accounts (accounts in the file, EXEUNT_ACCOUNTS) to a file or a \
                 postgres:// URL",
                self.accounts
            )));
        }
        if let Err(error) = EnvFilter::try_new(&self.log) {
            return Err(refused(format_args!(
                "log {:?}: {error}; write a level, or levels by module, such as info,exeunt=debug",
                self.log
            )));
        }
        self.check_origins()?;
        self.check_cookie()
    }

    /// What browsers would refuse in silence is refused aloud here (RFC 6265bis, section 4.1.3).
    fn check_cookie(&self) -> Result<(), ConfigError> {
        let name = self.cookie_name();
        let has =
            |prefix: &str| name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
        if name.is_empty() || !name.bytes().all(is_token_byte) {
            return Err(refused(format_args!(
                "cookie_name must be letters, digits, and -_.!#$%&'*+^`|~ alone"
            )));
        }
        if (has("__Host-") || has("__Secure-") || has("__Http-")) && !self.cookie_is_secure() {
            return Err(refused(format_args!(
                "cookie_name {name}: browsers take this prefix over https alone; set public_url to an https:// one"
            )));
        }
        if has("__Host-") && self.cookie_domain.is_some() {
            return Err(refused(format_args!(
                "cookie_name {name}: browsers refuse this prefix together with cookie_domain"
            )));
        }
        let Some(domain) = &self.cookie_domain else { return Ok(()) };
        let host = self.public_url.as_ref().map_or("localhost", PublicUrl::host);
        // RFC 6265bis, section 5.1.3: the host itself, or a name below the domain; addresses have no names below them.
        let below = host.strip_suffix(domain.as_str()).is_some_and(|rest| rest.ends_with('.'));
        let is_address = host.starts_with('[') || host.parse::<std::net::Ipv4Addr>().is_ok();
        if host != domain && (!below || is_address) {
            return Err(refused(format_args!(
                "cookie_domain {domain:?}: browsers refuse it from {host}, the host of public_url; write that host or \
                 a domain above it, in lower case, without a dot in front"
            )));
        }
        Ok(())
    }

    /// The name of the session cookie: as set, else by the public URL.
    #[must_use]
    pub fn cookie_name(&self) -> &str {
        match (&self.cookie_name, self.cookie_is_secure(), &self.cookie_domain) {
            (Some(name), _, _) => name,
            (None, true, None) => "__Host-session",
            // Browsers refuse `__Host-` together with a domain.
            (None, true, Some(_)) => "__Secure-session",
            (None, false, _) => "session",
        }
    }

    /// Whether the cookie is sent over https alone: so it is if the public URL is https.
    #[must_use]
    pub fn cookie_is_secure(&self) -> bool {
        self.public_url.as_ref().is_some_and(PublicUrl::is_https)
    }

    /// The timeouts, as the library takes them.
    #[must_use]
    pub fn lifetime(&self) -> Lifetime {
        Lifetime::new(self.idle_timeout, self.absolute_timeout).remember_for(self.remember_for)
    }

    /// Whether requests can be told apart by the address that they come from: not where TLS ends at a proxy, and no proxy is
    /// trusted to say whom it speaks for.
    #[must_use]
    pub fn knows_sources(&self) -> bool {
        !self.trusted_proxies.is_empty() || !self.public_url.as_ref().is_some_and(PublicUrl::is_https)
    }

    /// The public URL, or where there is none, how a browser on this machine reaches a server that listens at `bound`.
    #[must_use]
    pub fn public_url_at(&self, bound: SocketAddr) -> PublicUrl {
        self.public_url.clone().unwrap_or_else(|| PublicUrl::local(bound))
    }

    /// Refuses to serve where a password would cross a network in the clear without anybody having said so.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Refused`], which says what to set.
    pub fn check_to_serve(&self) -> Result<(), ConfigError> {
        if self.public_url.is_some() || self.listen.ip().is_loopback() {
            return Ok(());
        }
        Err(ConfigError::Refused(format!(
            "refusing to listen on {}, which other machines can reach, without a public URL: passwords and cookies \
             would cross the network unencrypted, and links and the cross-site check need the address that people \
             see. Put a proxy that does TLS in front and set --public-url https://login.example.org (public_url in \
             the file, EXEUNT_PUBLIC_URL), or listen on 127.0.0.1",
            self.listen
        )))
    }

    /// What the operator should know about this configuration, one sentence each, for the log at start.
    #[must_use]
    pub fn notices(&self) -> Vec<Notice> {
        let mut notices = Vec::new();
        match &self.public_url {
            Some(url) if url.is_https() => {}
            Some(url) => notices.push(Notice {
                is_warning: true,
                text: format!(
                    "the public URL {url} is plain http: whoever listens on the network reads passwords and cookies; \
                     the cookie is `{}` without Secure",
                    self.cookie_name()
                ),
            }),
            None => notices.push(Notice {
                is_warning: false,
                text: format!(
                    "no public URL is set: serving this machine alone, over plain http; the cookie is `{}` without \
                     Secure",
                    self.cookie_name()
                ),
            }),
        }
        if !self.knows_sources() {
            notices.push(Notice {
                is_warning: true,
                text: "trusted_proxies is empty, so every request seems to come from the proxy: whoever guesses at many \
                       accounts from one address is not held back (each account still is), and logs name the proxy. Set \
                       trusted_proxies to the proxy's address"
                    .to_owned(),
            });
        }
        notices.extend(origin_notices(self));
        if let Some(address) = self.metrics.filter(|address| !address.ip().is_loopback()) {
            notices.push(Notice {
                is_warning: true,
                text: format!(
                    "whoever can reach {address} can read the figures there: how many log in, and how fast"
                ),
            });
        }
        if let (None, Some(file)) = (self.store.file(), self.accounts.file()) {
            notices.push(Notice {
                is_warning: false,
                text: format!(
                    "accounts are in the file {}, which is this server's alone: several servers on {} need them in \
                     PostgreSQL",
                    file.display(),
                    self.store
                ),
            });
        }
        notices.extend(mail::notice(&self.mail, self.public_url.as_ref()));
        notices
    }
}

fn refused(reason: fmt::Arguments<'_>) -> ConfigError {
    ConfigError::Refused(reason.to_string())
}

/// A `tchar` of RFC 9110, section 5.6.2.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.!#$%&'*+^`|~".contains(&byte)
}

/// A sentence for the log at start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Whether it is about a danger.
    pub is_warning: bool,
    /// The sentence.
    pub text: String,
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
