//! Writes the commented file that `exeunt config` prints.
//!
//! Must never print what would not load again, nor a password.

use std::fmt::Write as _;

use clap::{Args as _, Command};

use super::{Options, Place, SmtpUrl};

const WIDTH: usize = 100;

const HEAD: &str = "\
# The configuration of exeunt, in effect now. Lines that start with #key are not set: they show the default,
# or an example where there is none. Each key can be set by a variable, too (listen: EXEUNT_LISTEN), and by a
# flag of `exeunt serve` (--listen). A flag wins over a variable, a variable over this file. Unknown keys are errors.
";

const LEFT_OUT: &str = "# There is a password in it, which is left out here: put it in again.\n";
/// A user alone would not load again.
const LOGIN_LEFT_OUT: &str =
    "# There are a user and a password in it, which are left out here: put them in again.\n";

/// A TOML file with every option explained: those that are set as they are, the others commented out.
#[must_use]
pub fn print(set: &Options) -> String {
    // Both hold nothing but text, numbers and lists of text, which TOML can always say.
    let table = |options: &Options| toml::Table::try_from(options).unwrap_or_default();
    let secret = |key: &str| {
        let place = match key {
            "store" => set.store.as_ref(),
            "accounts" => set.accounts.as_ref(),
            _ => None,
        };
        place.is_some_and(Place::has_password)
    };
    let (set_table, defaults) = (table(set), table(&Options::defaults()));
    let mut file = HEAD.to_owned();
    for arg in Options::augment_args(Command::new("")).get_arguments() {
        let key = arg.get_id().as_str();
        let help = arg.get_long_help().or(arg.get_help()).map(ToString::to_string).unwrap_or_default();
        file.push('\n');
        wrap(&mut file, &help);
        if secret(key) {
            file.push_str(LEFT_OUT);
        }
        if key == "smtp" && set.smtp.as_ref().is_some_and(SmtpUrl::has_password) {
            file.push_str(LOGIN_LEFT_OUT);
        }
        let line = match (set_table.get(key), defaults.get(key)) {
            (Some(value), _) => format!("{key} = {value}"),
            (None, Some(default)) => format!("#{key} = {default}"),
            (None, None) => format!("#{key} = {}", example(key)),
        };
        file.push_str(&line);
        file.push('\n');
    }
    file
}

fn example(key: &str) -> &'static str {
    match key {
        "accounts" => r#""postgres://exeunt@db.example.org/exeunt""#,
        "breached_passwords" => r#""/var/lib/pwned-passwords""#,
        "passwords_at_once" => "4",
        "public_url" => r#""https://login.example.org""#,
        "cookie_domain" => r#""example.org""#,
        "cookie_name" => r#""session""#,
        "brand_logo" => r#""/etc/exeunt/logo.svg""#,
        "brand_accent" => r##""#0b57d0""##,
        "brand_folder" => r#""/etc/exeunt/brand""#,
        "metrics" => r#""127.0.0.1:9090""#,
        "smtp" => r#""smtps://mail.example.org""#,
        "mail_dir" => r#""mail""#,
        "mail_from" => r#""Example login <no-reply@example.org>""#,
        "log_format" => r#""json""#,
        _ => r#""""#,
    }
}

fn wrap(file: &mut String, text: &str) {
    let mut line = String::from("#");
    for word in text.split_whitespace() {
        if line.len() + 1 + word.len() > WIDTH {
            let _ = writeln!(file, "{line}");
            line.truncate(1);
        }
        line.push(' ');
        line.push_str(word);
    }
    // Clap takes the full stop at the end away.
    let _ = writeln!(file, "{line}.");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uncommented(text: &str, but: &[&str]) -> String {
        let lines = text.lines().filter_map(|line| match line.strip_prefix('#') {
            Some(rest) if rest.starts_with(' ') => None,
            Some(rest) => (!but.iter().any(|key| rest.starts_with(key))).then_some(rest),
            None => Some(line),
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn what_is_printed_loads_again_and_means_the_same() {
        let set = Options {
            store: Some(Place::File("a \"quoted\" \\ name.db".into())),
            accounts: Some("postgres://u@h/d?sslmode=require".parse().unwrap()),
            public_url: Some("https://example.org".parse().unwrap()),
            trusted_proxies: Some(vec!["10.0.0.0/8".parse().unwrap()]),
            ..Options::default()
        };
        for options in [Options::default(), Options::defaults(), set] {
            assert_eq!(toml::from_str::<Options>(&print(&options)).unwrap(), options);
        }
    }

    #[test]
    fn a_password_is_left_out_and_the_file_says_so() {
        // R39
        let set = Options {
            store: Some("redis://:secret@h/0".parse().unwrap()),
            accounts: Some("postgres://u:secret@h/d?password=secret".parse().unwrap()),
            smtp: Some("smtps://u:secret@h?ca=a.pem".parse().unwrap()),
            ..Options::default()
        };
        let printed = print(&set);
        assert!(!printed.contains("secret"), "{printed}");
        assert_eq!((printed.matches(LEFT_OUT).count(), printed.matches(LOGIN_LEFT_OUT).count()), (2, 1));
        let read: Options = toml::from_str(&printed).unwrap();
        assert_eq!(read.store, Some("redis://h/0".parse().unwrap()));
        assert_eq!(read.accounts, Some("postgres://u@h/d".parse().unwrap()));
        assert_eq!(read.smtp, Some("smtps://h?ca=a.pem".parse().unwrap()));
    }

    #[test]
    fn every_option_stands_in_the_manual_s_page_of_defaults() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../exeunt/src/manual/defaults.rs");
        let page = std::fs::read_to_string(page).unwrap();
        let missing: Vec<_> = Options::augment_args(Command::new(""))
            .get_arguments()
            .map(|arg| arg.get_id().to_string())
            .filter(|key| !page.contains(&format!("`{key}`")))
            .collect();
        assert!(missing.is_empty(), "{missing:?}");
    }

    #[test]
    fn the_defaults_are_shown_as_they_are() {
        let without_default = [
            "accounts",
            "breached_passwords",
            "passwords_at_once",
            "public_url",
            "cookie_name",
            "cookie_domain",
            "brand_logo",
            "brand_accent",
            "brand_folder",
            "metrics",
            "smtp",
            "mail_dir",
            "mail_from",
            "log_format",
        ];
        let shown = uncommented(&print(&Options::default()), &without_default);
        assert_eq!(toml::from_str::<Options>(&shown).unwrap(), Options::defaults());
        // Also the examples can be read.
        assert!(toml::from_str::<Options>(&uncommented(&print(&Options::default()), &[])).is_ok());
    }

    #[test]
    fn every_option_is_explained() {
        for arg in Options::augment_args(Command::new("")).get_arguments() {
            assert!(arg.get_help().is_some_and(|help| help.to_string().len() > 20), "{:?}", arg.get_id());
        }
    }
}
