//! Where sessions or accounts live: a file of ours, Redis or Valkey, PostgreSQL.
//!
//! Must never show a password: not in `Display`, `Debug`, a printed configuration, nor in an error about what was given.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::builder::TypedValueParser;
use serde::{Deserialize, Serialize, Serializer};

/// Where sessions or accounts live.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Place {
    /// A SQLite file of this process.
    File(PathBuf),
    /// Redis or Valkey: standalone, Sentinel or Cluster. It keeps no accounts.
    Redis(Address),
    /// PostgreSQL.
    Postgres(Address),
}

/// The URL of a server, which may have a password in it.
#[derive(Clone, PartialEq, Eq)]
pub struct Address(String);

/// A text that names no place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{what}: write the path of a file (or sqlite:PATH), or a URL that starts with redis://, rediss://, valkey://, \
     valkeys://, one of these with +sentinel or +cluster before the colon, postgres:// or postgresql://"
)]
pub struct PlaceError {
    what: String,
}

const REDIS: &[&str] = &["redis", "rediss", "valkey", "valkeys"];
const REDIS_MODES: &[&str] = &["sentinel", "cluster"];
const POSTGRES: &[&str] = &["postgres", "postgresql"];
const FILE: &str = "sqlite:";

impl Place {
    /// The file, if it is one.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Redis(_) | Self::Postgres(_) => None,
        }
    }

    /// Whether accounts can live there.
    #[must_use]
    pub fn keeps_accounts(&self) -> bool {
        !matches!(self, Self::Redis(_))
    }

    /// Whether there is a password in it, which is then nowhere shown.
    #[must_use]
    pub fn has_password(&self) -> bool {
        match self {
            Self::File(_) => false,
            Self::Redis(address) | Self::Postgres(address) => address.0 != without_password(&address.0),
        }
    }

    /// Reads it as an argument of the command line, whose error does not repeat what was given.
    #[must_use]
    pub fn parser() -> impl TypedValueParser<Value = Self> {
        Parser
    }
}

impl Address {
    /// The URL as it was given, password and all: for the engine alone.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl FromStr for Place {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() {
            return Err(PlaceError { what: "it is empty".to_owned() });
        }
        let Some((scheme, _)) = text.split_once("://").filter(|(scheme, _)| is_scheme(scheme)) else {
            return match text.strip_prefix(FILE) {
                Some(path) => Ok(Self::File(path.into())),
                None => not_a_url(text).map_or_else(|| Ok(Self::File(text.into())), Err),
            };
        };
        let address = Address(text.to_owned());
        let scheme = scheme.to_ascii_lowercase();
        let (engine, mode) = scheme.split_once('+').map_or((&*scheme, None), |(a, b)| (a, Some(b)));
        if REDIS.contains(&engine) && mode.is_none_or(|mode| REDIS_MODES.contains(&mode)) {
            Ok(Self::Redis(address))
        } else if POSTGRES.contains(&&*scheme) {
            Ok(Self::Postgres(address))
        } else {
            Err(PlaceError { what: format!("{scheme}:// is not known") })
        }
    }
}

/// What starts as a URL of an engine and goes on as none was meant as one: a file of that name would be a store of its own.
fn not_a_url(text: &str) -> Option<PlaceError> {
    if ["host=", "password=", "user="].iter().any(|key| text.contains(key)) {
        return Some(PlaceError {
            what: "names and values, as psql takes them, are not known here".to_owned(),
        });
    }
    let engine = |word: &&str| text.strip_prefix(*word).is_some_and(|rest| rest.starts_with("//"));
    if let Some(word) = REDIS.iter().chain(POSTGRES).find(|word| engine(word)) {
        return Some(PlaceError { what: format!("a colon is missing after {word}") });
    }
    let (scheme, _) = text.split_once(':')?;
    let engine = scheme.split('+').next().unwrap_or_default().to_ascii_lowercase();
    let known = REDIS.contains(&&*engine) || POSTGRES.contains(&&*engine);
    known.then(|| PlaceError { what: format!("{scheme}: is not followed by //") })
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.chars().all(|letter| letter.is_ascii_alphanumeric() || "+-.".contains(letter))
}

impl TryFrom<String> for Place {
    type Error = PlaceError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl TryFrom<OsString> for Place {
    type Error = PlaceError;

    /// A path need not be UTF-8.
    fn try_from(text: OsString) -> Result<Self, Self::Error> {
        match text.into_string() {
            Ok(text) => text.parse(),
            Err(path) => Ok(Self::File(path.into())),
        }
    }
}

impl From<PathBuf> for Place {
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}

impl Serialize for Place {
    /// Without the password.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => {
                let text = path.display().to_string();
                match text.parse() {
                    Ok(Self::File(read)) if read == *path => f.write_str(&text),
                    // It reads as something else.
                    _ if path.to_str().is_some() => write!(f, "{FILE}{text}"),
                    _ => f.write_str(&text),
                }
            }
            Self::Redis(address) | Self::Postgres(address) => address.fmt(f),
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "File({path:?})"),
            Self::Redis(address) => write!(f, "Redis({address})"),
            Self::Postgres(address) => write!(f, "Postgres({address})"),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&without_password(&self.0))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

/// A text without the passwords of the URLs in it, at most one a line: of a URL, or of an error that shows a line of a
/// file.
pub(super) fn without_passwords(text: &str) -> String {
    let lines: Vec<String> = text.split('\n').map(without_password).collect();
    lines.join("\n")
}

/// Rather leaves out too much than too little: a password that was not encoded may look like any part of a URL.
pub(super) fn without_password(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let authority = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let at = match rest.get(..authority).and_then(|authority| authority.rfind('@')) {
        Some(at) => Some(at),
        None => rest.rfind('@').filter(|_| !has_host(rest)),
    };
    let (user, rest) = match at {
        Some(at) => {
            let (user, rest) = rest.split_at(at);
            (user.split_once(':').map_or(user, |(user, _)| user), rest)
        }
        None => ("", rest),
    };
    // Nobody is named in front of a bare `@`.
    let rest = rest.strip_prefix('@').filter(|_| user.is_empty()).unwrap_or(rest);
    let (before, query) = rest.split_once('?').map_or((rest, None), |(before, query)| (before, Some(query)));
    let mut shown = format!("{scheme}://{user}{before}");
    let Some(query) = query else { return shown };
    let kept: Vec<&str> = query.split('&').filter(|pair| !is_password(pair)).collect();
    if !kept.is_empty() {
        shown.push('?');
        shown.push_str(&kept.join("&"));
    }
    shown
}

/// Whether what stands before the first slash can be a host, so that an `@` behind it is no part of a password.
fn has_host(rest: &str) -> bool {
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let port = host.rsplit_once(':').map_or("", |(_, port)| port);
    !host.is_empty() && !host.starts_with(':') && port.chars().all(|digit| digit.is_ascii_digit())
}

fn is_password(pair: &str) -> bool {
    pair.split('=').next().unwrap_or_default().to_ascii_lowercase().contains("pass")
}

#[derive(Clone)]
struct Parser;

impl TypedValueParser for Parser {
    type Value = Place;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<Place, clap::Error> {
        Place::try_from(value.to_owned()).map_err(|error| {
            let name = argument.and_then(clap::Arg::get_long).unwrap_or("place");
            let message = format!("the value of {name} names no place: {error}\n");
            clap::Error::raw(clap::error::ErrorKind::ValueValidation, message).with_cmd(command)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str) -> Place {
        text.parse().unwrap()
    }

    #[test]
    fn a_place_is_known_by_its_scheme_and_anything_without_one_is_a_file() {
        for text in ["exeunt.db", "/var/lib/a b.db", "a:b", "./redis:", "://x", "1://x", "C:\\a.db"] {
            assert_eq!(place(text), Place::File(text.into()), "{text}");
        }
        assert_eq!(place("sqlite:postgres://x"), Place::File("postgres://x".into()));
        for engine in REDIS {
            for mode in ["", "+sentinel", "+cluster"] {
                let text = format!("{engine}{mode}://h:1/0?node=h:2");
                assert!(matches!(place(&text), Place::Redis(address) if address.expose() == text));
            }
        }
        for text in ["postgres://u@h/d", "postgresql:///d?host=a,b", "POSTGRES://h"] {
            assert!(matches!(place(text), Place::Postgres(_)), "{text}");
        }
        assert!(!place("redis://h").keeps_accounts() && place("postgres://h").keeps_accounts());
    }

    #[test]
    fn what_names_no_place_is_refused_with_what_can_be_written() {
        for text in [
            "",
            "mysql://h/d",
            "sqlite:///a.db",
            "redis+http://h",
            "postgres+cluster://h",
            "http://h",
            "redis:h",
            "redis//u:secret@h",
            "host=h user=u password=secret",
            "Postgres:/h/d",
        ] {
            let error = text.parse::<Place>().unwrap_err().to_string();
            assert!(error.contains("redis://") && error.contains("postgresql://"), "{error}");
        }
        let error = "mysql://u:secret@h/d".parse::<Place>().unwrap_err();
        assert!(!format!("{error} {error:?}").contains("secret"));
    }

    #[test]
    fn a_password_is_never_shown() {
        // R39
        for (given, shown) in [
            ("redis://h:1/0", "redis://h:1/0"),
            ("redis://:secret@h/0", "redis://h/0"),
            ("redis://u:secret@h/0", "redis://u@h/0"),
            ("redis://u:secret:secret@h/0", "redis://u@h/0"),
            ("redis://u:sec@ret@h/0", "redis://u@h/0"),
            ("redis://u:secret/secret@h/0", "redis://u@h/0"),
            ("redis://u:secret?secret@h/0", "redis://u@h/0"),
            ("redis://:secret#secret@h/0", "redis://h/0"),
            ("redis://h/0?prefix=a@b", "redis://h/0?prefix=a@b"),
            (
                "redis+sentinel://u:secret@h/0?sentinel_password=secret&master=m",
                "redis+sentinel://u@h/0?master=m",
            ),
            ("postgres://u:secret@a:1,b:2/d?sslmode=require", "postgres://u@a:1,b:2/d?sslmode=require"),
            ("postgres:///d?user=u&password=secret", "postgres:///d?user=u"),
            ("postgres:///d?Password=secret", "postgres:///d"),
        ] {
            let place = place(given);
            assert_eq!(place.to_string(), shown);
            assert!(!format!("{place:?}").contains("sec"), "{place:?}");
            let json = serde_json::to_string(&place).unwrap();
            assert_eq!(json, format!("{shown:?}"));
            assert_eq!(place.has_password(), given != shown, "{given}");
            assert!(Place::from_str(shown).is_ok_and(|again| again.to_string() == shown));
        }
        let snippet = "line 2\n  |\n2 | store = redis://:secret@h/0 ?\n  | ^";
        assert!(!without_passwords(snippet).contains("secret"));
    }

    #[test]
    fn a_file_is_shown_so_that_it_reads_as_the_same_file() {
        for path in ["exeunt.db", "redis://x", "redis:x", "sqlite:x", "mysql://x"] {
            let place = Place::File(path.into());
            assert_eq!(Place::from_str(&place.to_string()).unwrap(), place);
        }
    }
}
