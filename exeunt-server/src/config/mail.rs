//! How messages are sent: the URL of an SMTP server, and the address that they come from.
//!
//! Must never show a password, nor take a server on a network without TLS.

use std::ffi::OsStr;
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::builder::TypedValueParser;
use lettre::message::Mailbox;
use serde::{Deserialize, Serialize, Serializer};
use url::{Host, Url};

use super::place::without_password;
use super::{Notice, PublicUrl};

/// Where messages go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Mail {
    /// Nowhere: there are none.
    #[default]
    Off,
    /// To an SMTP server.
    Smtp(SmtpUrl),
    /// Into files of this folder.
    Folder(PathBuf),
    /// Into the log, links and all.
    Log,
}

/// How the connection to an SMTP server is kept from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpSecurity {
    /// TLS from the first byte (RFC 8314).
    Tls,
    /// TLS before anything is said, or nothing is (STARTTLS, RFC 3207).
    StartTls,
    /// None: it is on this machine.
    None,
}

/// The URL of an SMTP server, which may have a password in it.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct SmtpUrl {
    /// As it was given.
    text: String,
    host: String,
    port: u16,
    security: SmtpSecurity,
    credentials: Option<(String, String)>,
    ca: Option<PathBuf>,
}

/// A text that names no SMTP server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{reason}: write smtps://user:password@mail.example.org (TLS, port 465) or smtp://user:password@mail.example.org:587 \
     (STARTTLS); ?ca=FILE names a PEM file of certificate authorities to trust besides the system's"
)]
pub struct SmtpUrlError {
    reason: String,
}

impl SmtpUrl {
    /// Whether there is a password in it, which is then nowhere shown.
    #[must_use]
    pub fn has_password(&self) -> bool {
        self.text != without_password(&self.text)
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn security(&self) -> SmtpSecurity {
        self.security
    }

    /// User and password, for the server alone.
    pub(crate) fn credentials(&self) -> Option<(String, String)> {
        self.credentials.clone()
    }

    pub(crate) fn ca(&self) -> Option<&Path> {
        self.ca.as_deref()
    }

    /// Reads it as an argument of the command line, whose error does not repeat what was given.
    #[must_use]
    pub fn parser() -> impl TypedValueParser<Value = Self> {
        Parser
    }
}

impl FromStr for SmtpUrl {
    type Err = SmtpUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = |reason: &str| SmtpUrlError { reason: reason.to_owned() };
        let url = Url::parse(text).map_err(|error| refused(&error.to_string()))?;
        let wrapped = match url.scheme() {
            "smtp" => false,
            "smtps" => true,
            _ => return Err(refused("it starts neither with smtp:// nor with smtps://")),
        };
        let host = match url.host() {
            None => return Err(refused("it has no host")),
            Some(Host::Ipv6(address)) => address.to_string(),
            Some(host) => host.to_string(),
        };
        if !url.path().trim_matches('/').is_empty() || url.fragment().is_some() {
            return Err(refused("leave out the path behind the host"));
        }
        let mut ca = None;
        for (key, value) in url.query_pairs() {
            match &*key {
                "ca" if !value.is_empty() && ca.is_none() => ca = Some(PathBuf::from(value.as_ref())),
                _ => return Err(refused("?ca=FILE is all that may follow the host, once")),
            }
        }
        let decoded = |part: &str| {
            let pair = format!("x={}", part.replace('+', "%2B"));
            url::form_urlencoded::parse(pair.as_bytes())
                .next()
                .map_or(String::new(), |(_, value)| value.into_owned())
        };
        let credentials = match (url.username(), url.password()) {
            ("", None) => None,
            (user, Some(password)) if !user.is_empty() => Some((decoded(user), decoded(password))),
            _ => return Err(refused("a user goes with a password")),
        };
        let local = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        let (security, usual) = match (wrapped, local) {
            (true, _) => (SmtpSecurity::Tls, 465),
            (false, false) => (SmtpSecurity::StartTls, 587),
            // It is there for others on this machine, who need not log in.
            (false, true) => (SmtpSecurity::None, 25),
        };
        let port = url.port().unwrap_or(usual);
        Ok(Self { text: text.to_owned(), host, port, security, credentials, ca })
    }
}

impl TryFrom<String> for SmtpUrl {
    type Error = SmtpUrlError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl Serialize for SmtpUrl {
    /// Without the password.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for SmtpUrl {
    /// Without the password. A user alone would not be read again, so that it goes, too.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = without_password(&self.text);
        match (shown.split_once("://"), shown.rsplit_once('@')) {
            (Some((scheme, _)), Some((_, rest))) => write!(f, "{scheme}://{rest}"),
            _ => f.write_str(&shown),
        }
    }
}

impl fmt::Debug for SmtpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SmtpUrl({self})")
    }
}

/// Whom messages come from: `exeunt <no-reply@example.org>`, or an address alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MailFrom(Mailbox);

impl MailFrom {
    pub(crate) fn mailbox(&self) -> &Mailbox {
        &self.0
    }
}

impl FromStr for MailFrom {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = !text.chars().any(char::is_control);
        let read = text.parse().ok().filter(|_| plain).map(Self);
        read.ok_or_else(|| format!("{text:?} is not like name@example.org or Name <name@example.org>"))
    }
}

impl TryFrom<String> for MailFrom {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<MailFrom> for String {
    fn from(from: MailFrom) -> Self {
        from.0.to_string()
    }
}

/// What the operator should know of it at start.
pub(super) fn notice(mail: &Mail, public_url: Option<&PublicUrl>) -> Option<Notice> {
    let notice = |is_warning, text: &str| Some(Notice { is_warning, text: text.to_owned() });
    match (mail, public_url) {
        (Mail::Off, _) => notice(
            false,
            "nothing sends messages (smtp, mail_dir, mail_log): password reset is off, and nobody is told of changes of \
             their account",
        ),
        (_, None) => notice(
            true,
            "password reset is off: its links begin with the public URL, and none is set (public_url)",
        ),
        (Mail::Log, Some(_)) => notice(
            true,
            "messages go to the log (mail_log), links to set passwords among them: for development only",
        ),
        (Mail::Smtp(_) | Mail::Folder(_), Some(_)) => None,
    }
}

#[derive(Clone)]
struct Parser;

impl TypedValueParser for Parser {
    type Value = SmtpUrl;

    fn parse_ref(
        &self,
        command: &clap::Command,
        _: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<SmtpUrl, clap::Error> {
        value.to_string_lossy().parse().map_err(|error| {
            let message = format!("the value of smtp names no mail server: {error}\n");
            clap::Error::raw(clap::error::ErrorKind::ValueValidation, message).with_cmd(command)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> SmtpUrl {
        text.parse().unwrap()
    }

    #[test]
    fn nothing_goes_over_a_network_without_tls() {
        use SmtpSecurity::{None, StartTls, Tls};
        for (text, security, host, port) in [
            ("smtp://mail.example.org", StartTls, "mail.example.org", 587),
            ("smtp://u:p@mail.example.org:25/", StartTls, "mail.example.org", 25),
            ("smtp://192.0.2.1", StartTls, "192.0.2.1", 587),
            ("smtp://localhost.example.org", StartTls, "localhost.example.org", 587),
            ("smtps://mail.example.org", Tls, "mail.example.org", 465),
            ("smtps://localhost:4465?ca=/etc/ca.pem", Tls, "localhost", 4465),
            ("smtp://localhost", None, "localhost", 25),
            ("smtp://127.0.0.1:2525", None, "127.0.0.1", 2525),
            ("smtp://[::1]", None, "::1", 25),
        ] {
            let url = url(text);
            assert_eq!((url.security(), url.host(), url.port()), (security, host, port), "{text}");
        }
    }

    #[test]
    fn user_and_password_are_decoded_and_never_shown() {
        // R39
        let url = url("smtp://bot%40example.org:s%2Fecret+x@mail.example.org?ca=/a/b.pem");
        assert_eq!(url.credentials(), Some(("bot@example.org".to_owned(), "s/ecret+x".to_owned())));
        assert_eq!(url.ca(), Some(Path::new("/a/b.pem")));
        assert!(url.has_password());
        let shown = format!("{url} {url:?} {}", serde_json::to_string(&url).unwrap());
        assert!(!shown.contains("ecret"), "{shown}");
        assert_eq!(url.to_string(), "smtp://mail.example.org?ca=/a/b.pem");
        assert_eq!(url.to_string().parse::<SmtpUrl>().unwrap().host(), "mail.example.org");
    }

    #[test]
    fn what_names_no_mail_server_is_refused_without_repeating_it() {
        for text in [
            "",
            "mail.example.org",
            "http://u:secret@h",
            "smtp://",
            "smtp://u@h",
            "smtp://:secret@h",
            "smtp://u:secret@h/path",
            "smtp://u:secret@h?tls=none",
            "smtp://u:secret@h?ca=",
            "smtp://u:secret@h:port",
        ] {
            let error = text.parse::<SmtpUrl>().unwrap_err().to_string();
            assert!(error.contains("smtps://user:password@"), "{text}: {error}");
            assert!(!error.contains("secret"), "{text}: {error}");
        }
    }

    #[test]
    fn a_sender_is_an_address_with_or_without_a_name() {
        for text in ["a@example.org", "Log in <a@example.org>"] {
            assert_eq!(String::from(text.parse::<MailFrom>().unwrap()), text);
        }
        for text in ["", "a", "a@example.org\r\nBcc: b@example.net", "a@example.org, b@example.org"] {
            assert!(text.parse::<MailFrom>().is_err(), "{text:?}");
        }
    }
}
