//! Reads the file and the environment.
//!
//! Must never pass over a key or variable that it does not know.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use clap::{Args as _, Command, FromArgMatches as _};

use super::place::without_passwords;
use super::{ConfigError, Options};

/// The file that is read if none is named, where there is one.
pub const DEFAULT_FILE: &str = "exeunt.toml";

const PREFIX: &str = "EXEUNT_";
/// Names the file, so it cannot stand in it.
const FILE_VARIABLE: &str = "EXEUNT_CONFIG";

/// What is set: by the file, by `variables` on top of it, by `flags` on top of both.
///
/// # Errors
///
/// [`ConfigError`].
pub fn read(
    file: Option<&Path>,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
    flags: Options,
) -> Result<Options, ConfigError> {
    let mut by_variables = Options::default();
    let mut named_by_variable = None;
    for (variable, value) in variables {
        let Some(variable) = variable.to_str().filter(|variable| variable.starts_with(PREFIX)) else {
            continue;
        };
        if variable == FILE_VARIABLE {
            named_by_variable = Some(PathBuf::from(value));
        } else {
            by_variables = by_variable(variable, &value)?.over(by_variables);
        }
    }
    let by_file = match file.or(named_by_variable.as_deref()) {
        Some(path) => by_file(path)?,
        None => by_default_file()?,
    };
    Ok(flags.over(by_variables).over(by_file))
}

fn by_default_file() -> Result<Options, ConfigError> {
    match by_file(Path::new(DEFAULT_FILE)) {
        Err(ConfigError::Unreadable { source, .. }) if source.kind() == ErrorKind::NotFound => {
            Ok(Options::default())
        }
        other => other,
    }
}

fn by_file(path: &Path) -> Result<Options, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
    toml::from_str(&text)
        // The error shows the line that it is about.
        .map_err(|error| without_passwords(&error.to_string()))
        .map_err(|reason| ConfigError::File { path: path.to_owned(), reason })
}

/// Reads a variable's value as that of the flag of the same name would be read.
fn by_variable(variable: &str, value: &OsString) -> Result<Options, ConfigError> {
    let unknown = || ConfigError::UnknownVariable { variable: variable.to_owned() };
    let id = variable.strip_prefix(PREFIX).unwrap_or_default();
    let command = Options::augment_args(Command::new("").no_binary_name(true));
    let known = command.get_arguments().find(|arg| arg.get_id().as_str().to_uppercase() == id);
    let long = known.and_then(clap::Arg::get_long).ok_or_else(unknown)?;
    let mut flag = OsString::from(format!("--{long}="));
    flag.push(value);
    let read = command.try_get_matches_from([flag]).and_then(|matches| Options::from_arg_matches(&matches));
    read.map_err(|error| {
        // The first line alone: the others speak of flags.
        let text = error.to_string();
        let first = text.lines().next().unwrap_or_default();
        let reason = first.strip_prefix("error: ").unwrap_or(first).to_owned();
        ConfigError::Variable { variable: variable.to_owned(), reason }
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn set(variables: &[(&str, &str)], file: Option<&Path>) -> Result<Options, ConfigError> {
        let variables = variables.iter().map(|(name, value)| (name.into(), value.into()));
        read(file, variables, Options::default())
    }

    #[test]
    fn each_option_can_be_set_by_a_variable() {
        let variables = [
            ("EXEUNT_LISTEN", "[::1]:9"),
            ("EXEUNT_STORE", "/tmp/a b"),
            ("EXEUNT_ACCOUNTS", "postgres://u@h/d"),
            ("EXEUNT_MAX_CONNECTIONS", "64"),
            ("EXEUNT_PUBLIC_URL", "https://example.org"),
            ("EXEUNT_ALLOWED_ORIGINS", "https://a.example.org,https://b.example.org"),
            ("EXEUNT_TRUSTED_PROXIES", "127.0.0.1,10.0.0.0/8"),
            ("EXEUNT_IDLE_TIMEOUT", "5m"),
            ("EXEUNT_ABSOLUTE_TIMEOUT", "1h 30m"),
            ("EXEUNT_REMEMBER_FOR", "7days"),
            ("EXEUNT_SESSIONS_PER_ACCOUNT", "3"),
            ("EXEUNT_PASSWORD_MIN_LENGTH", "12"),
            ("EXEUNT_BREACHED_PASSWORDS", "/tmp/pwned"),
            ("EXEUNT_PASSWORDS_AT_ONCE", "2"),
            ("EXEUNT_LOGOUT_FAILURE_STATUS", "503"),
            ("EXEUNT_COOKIE_NAME", "id"),
            ("EXEUNT_COOKIE_DOMAIN", "example.org"),
            ("EXEUNT_COOKIE_SAME_SITE", "strict"),
            ("EXEUNT_NEAR_CACHE_MIB", "8"),
            ("EXEUNT_BRAND_NAME", "Example"),
            ("EXEUNT_BRAND_LOGO", "logo.svg"),
            ("EXEUNT_BRAND_ACCENT", "#0b57d0"),
            ("EXEUNT_BRAND_LINKS", "Help=https://example.org/help,Privacy=/privacy"),
            ("EXEUNT_BRAND_FOLDER", "brand"),
            ("EXEUNT_SMTP", "smtps://mail.example.org"),
            ("EXEUNT_MAIL_DIR", "mail"),
            ("EXEUNT_MAIL_LOG", "true"),
            ("EXEUNT_MAIL_FROM", "Log in <a@example.org>"),
            ("EXEUNT_RESET_LINK_FOR", "10m"),
            ("EXEUNT_LOG_FORMAT", "json"),
            ("EXEUNT_LOG", "debug"),
        ];
        let options = set(&variables, None).unwrap();
        let unset = toml::Table::try_from(Options::default()).unwrap();
        let all = toml::Table::try_from(&options).unwrap();
        assert_eq!((unset.len(), all.len()), (0, variables.len()));
        assert_eq!(options.idle_timeout, Some(Duration::from_secs(300)));
        assert_eq!(options.trusted_proxies.unwrap().len(), 2);

        // The file understands the same words.
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.toml");
        std::fs::write(&file, all.to_string()).unwrap();
        assert_eq!(toml::Table::try_from(set(&[], Some(&file)).unwrap()).unwrap(), all);
    }

    #[test]
    fn flags_win_over_variables_and_variables_over_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.toml");
        std::fs::write(&file, "listen = \"127.0.0.1:1\"\nstore = \"1\"\ncookie_name = \"one\"\n").unwrap();
        let variables = [
            ("EXEUNT_CONFIG", file.to_str().unwrap()),
            ("EXEUNT_LISTEN", "127.0.0.1:2"),
            ("EXEUNT_STORE", "2"),
        ]
        .map(|(name, value)| (name.into(), value.into()));
        let flags = Options { store: Some("3".parse().unwrap()), ..Options::default() };
        let options = read(None, variables, flags).unwrap();
        assert_eq!(options.listen, Some("127.0.0.1:2".parse().unwrap()));
        assert_eq!(options.store, Some("3".parse().unwrap()));
        assert_eq!(options.cookie_name.as_deref(), Some("one"));
    }

    #[test]
    fn an_unknown_variable_is_an_error_that_names_it() {
        for name in ["EXEUNT_LISTENN", "EXEUNT_", "EXEUNT_listen", "EXEUNT_PORT"] {
            let error = set(&[(name, "1")], None).unwrap_err();
            assert!(
                matches!(&error, ConfigError::UnknownVariable { variable } if variable == name),
                "{error}"
            );
            assert!(error.to_string().contains(name));
        }
        assert_eq!(set(&[("PATH", "x"), ("exeunt_x", "y")], None).unwrap(), Options::default());
    }

    #[test]
    fn a_bad_value_is_an_error_that_names_the_variable_and_the_reason() {
        for (name, value, why) in [
            ("EXEUNT_LISTEN", "8080", "invalid socket address"),
            ("EXEUNT_PUBLIC_URL", "example.org", "https://login.example.org"),
            ("EXEUNT_TRUSTED_PROXIES", "10.0.0.0/8,nope", "nope"),
            ("EXEUNT_IDLE_TIMEOUT", "30", "time unit needed"),
            ("EXEUNT_COOKIE_SAME_SITE", "never", "never"),
        ] {
            let error = set(&[(name, value)], None).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains(why), "{error}");
        }
    }

    #[test]
    fn an_unknown_key_is_an_error_that_names_the_key_the_file_and_the_line() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("b.toml");
        for (text, named) in [
            ("listen = \"127.0.0.1:1\"\nlissten = 1\n", "lissten"),
            ("\nidle_timeout = \"soon\"\n", "idle_timeout"),
            ("\ntrusted_proxies = [\"nope\"]", "nope"),
        ] {
            std::fs::write(&file, text).unwrap();
            let error = set(&[], Some(&file)).unwrap_err().to_string();
            assert!(error.contains(named) && error.contains("b.toml") && error.contains("line 2"), "{error}");
        }
    }

    #[test]
    fn an_error_about_a_place_shows_no_password() {
        // R39
        let error = set(&[("EXEUNT_STORE", "mysql://u:secret@h/d")], None).unwrap_err().to_string();
        assert!(error.contains("EXEUNT_STORE") && error.contains("mysql:// is not known"), "{error}");
        assert!(!error.contains("secret"), "{error}");
        let error = set(&[("EXEUNT_SMTP", "http://u:secret@h")], None).unwrap_err().to_string();
        assert!(error.contains("EXEUNT_SMTP") && error.contains("smtps://"), "{error}");
        assert!(!error.contains("secret"), "{error}");
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("c.toml");
        for text in [
            "smtp = \"http://u:secret@h\"\n",
            "store = \"mysql://u:secret@h/d\"\n",
            "store = \"redis://u:secret@h/d\n",
        ] {
            std::fs::write(&file, text).unwrap();
            let error = set(&[], Some(&file)).unwrap_err().to_string();
            assert!(error.contains("line 1") && !error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_file_that_was_named_must_be_there() {
        let error = set(&[], Some(Path::new("/nowhere/exeunt.toml"))).unwrap_err();
        assert!(matches!(error, ConfigError::Unreadable { .. }), "{error}");
    }
}
