//! The command line.
//!
//! Must never take a password as an argument, where other users of the machine could read it, nor print one.

mod events;
mod password;
mod run;
mod show;
mod store;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use exeunt::SessionId;

pub use self::run::main;
use crate::config::{Options, Place};
use crate::copy::Only;

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  failed (and: `exeunt check` found a problem)
  2  the arguments, the configuration, the name or the password cannot be
  3  there is no such account or session
  4  it exists already
  5  the store, or the server that owns it, could not be used or did not answer
  6  nobody would be left who may administer; --even-the-last does it all the same

While a server owns the file of accounts or sessions, commands go through its control socket (<file>.sock), and say that
something is done only when the server has said so. Without a server, or where there is no file, they do it themselves,
and no log tells of it, but the audit table does (`exeunt events`).
If an account was changed and its sessions could not be ended yet (5), they end as soon as their store answers a server.";

/// Login and logout as a ready-made server: on one SQLite file, or on Redis and PostgreSQL.
#[derive(Debug, Parser)]
#[command(name = "exeunt", version, after_help = EXIT_CODES, max_term_width = 110)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Top,
}

#[derive(Args, Debug)]
struct Global {
    /// The configuration file [default: exeunt.toml, if there is one; or EXEUNT_CONFIG].
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Where sessions live: a file or a URL [default: exeunt.db; or EXEUNT_STORE].
    #[arg(long, value_name = "FILE|URL", global = true, value_parser = Place::parser())]
    store: Option<Place>,
    /// Where accounts live [default: where sessions do; or EXEUNT_ACCOUNTS].
    #[arg(long, value_name = "FILE|URL", global = true, value_parser = Place::parser())]
    accounts: Option<Place>,
}

#[derive(Debug, Subcommand)]
enum Top {
    /// Serves until stopped (SIGTERM, SIGINT). On an empty store it prints a link for making the first account.
    #[command(after_help = "\
Each option can be set in the configuration file and by a variable, too: --idle-timeout is idle_timeout and
EXEUNT_IDLE_TIMEOUT. Flags win over variables, variables over the file. `exeunt config` shows the defaults.

Examples:
  exeunt serve
  exeunt serve --listen 127.0.0.1:9000 --store /var/lib/exeunt/exeunt.db --public-url https://login.example.org
  exeunt serve --store postgres://exeunt@db.example.org/exeunt
  exeunt serve --store redis://cache.example.org --accounts postgres://exeunt@db.example.org/exeunt")]
    Serve(Box<Options>),
    /// Prints the configuration in effect as a commented file, with every option and its default.
    #[command(after_help = "\
Examples:
  exeunt config > exeunt.toml
  exeunt config --config /etc/exeunt.toml    # also tells whether it can be read")]
    Config,
    /// Adds, lists and changes accounts.
    Account {
        #[command(flatten)]
        output: Output,
        #[command(subcommand)]
        command: AccountCommand,
    },
    /// Lists and ends sessions.
    Session {
        #[command(flatten)]
        output: Output,
        #[command(subcommand)]
        command: SessionCommand,
    },
    /// Copies, backs up, and prepares where sessions and accounts live.
    Store {
        #[command(flatten)]
        output: Output,
        #[command(subcommand)]
        command: StoreCommand,
    },
    /// Shows what happened to accounts and sessions, oldest first: who, why, by whom, from where.
    #[command(after_help = "\
They are kept where accounts are, for as long as keep_events_for says. With --json, each line is an object.

Examples:
  exeunt events --account alice --since 2h
  exeunt events --follow --json | jq 'select(.event == \"login_refused\")'")]
    Events {
        #[command(flatten)]
        output: Output,
        #[command(flatten)]
        command: events::EventsCommand,
    },
    /// Looks the store over: integrity, permissions, settings, versions, counts.
    #[command(after_help = "\
Exits with 0 if all is well, with 1 if it found a problem, with 5 if the store could not be used.

Examples:
  exeunt check
  exeunt check --store /var/lib/exeunt/exeunt.db --json")]
    Check {
        #[command(flatten)]
        output: Output,
    },
}

#[derive(Debug, Subcommand)]
enum StoreCommand {
    /// Copies live sessions and accounts to another place, and logs nobody out.
    ///
    /// FROM and TO are files or URLs, as for --store. A server may work on FROM, none on TO. It is safe to repeat until a server has worked on TO: each
    /// time it copies what changed. Once FROM's servers are stopped, the last pass with --final also removes from TO what
    /// ended in FROM since; only then may servers start on TO.
    #[command(after_help = "\
A password in a URL can be seen in the list of processes while the copy is under way.

Examples:
  exeunt store copy exeunt.db postgres://exeunt@db.example.org/exeunt
  systemctl stop exeunt
  exeunt store copy exeunt.db postgres://exeunt@db.example.org/exeunt --final")]
    Copy {
        /// Where they are.
        #[arg(value_name = "FROM", value_parser = Place::parser())]
        from: Place,
        /// Where they are to be.
        #[arg(value_name = "TO", value_parser = Place::parser())]
        to: Place,
        /// Copies one of both alone. Redis keeps no accounts.
        #[arg(long, value_name = "sessions|accounts")]
        only: Option<Only>,
        /// The last pass: no server works on FROM any more. Removes from TO what ended since.
        #[arg(long = "final")]
        last: bool,
    },
    /// Writes a copy of a SQLite store into a new file, while a server works on it or not.
    #[command(after_help = "\
To restore: stop the server, put the file in the place of the store, and remove FILE-wal and FILE-shm beside it. No session lives
in a backup. If accounts are in it, look at what changed since, then say that you go on with it: exeunt store accept-loss
All of it belongs to the server's user: do this as that user, or give it back with chown.

Examples:
  exeunt store backup /backup/exeunt.db --store /var/lib/exeunt/exeunt.db")]
    Backup {
        /// The new file. It is never overwritten.
        file: PathBuf,
    },
    /// Goes on with a damaged or restored file, and ends its sessions.
    ///
    /// A file that may lack changes that were acknowledged, since its log or its data was damaged or a backup was put in its
    /// place, has no live session any more, and `exeunt serve` refuses it if accounts are in it. Look at them first
    /// (`exeunt account list`): passwords may be earlier ones, and accounts there again that were removed or disabled. Changes
    /// nothing where nothing is missing.
    #[command(after_help = "\
Examples:
  exeunt account list --store /var/lib/exeunt/exeunt.db
  exeunt store accept-loss --store /var/lib/exeunt/exeunt.db")]
    AcceptLoss,
    /// Prints the SQL that makes the tables in PostgreSQL, for a role that may not make them.
    Schema {
        /// That of one of both alone.
        #[arg(long, value_name = "sessions|accounts")]
        only: Option<Only>,
    },
}

#[derive(Args, Debug)]
struct Output {
    /// Prints JSON: the answer to standard output, an error to standard error.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Args, Debug)]
struct PasswordSource {
    /// Reads the password from standard input, less one line end at its end. Without it, you are asked for it.
    #[arg(long)]
    password_stdin: bool,
}

#[derive(Args, Debug)]
struct EvenTheLast {
    /// Does so even if nobody is left who may administer over the network. A shell is then the way back in.
    #[arg(long)]
    even_the_last: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Role {
    /// May log in.
    User,
    /// May administer accounts and sessions, too.
    Admin,
}

#[derive(Debug, Subcommand)]
#[command(after_help = "\
Names are kept as written (in Unicode NFC), and are the same if they differ in case alone. At most 64 characters, no
control characters, no white space at either end. Passwords have 1 to 1024 bytes.")]
enum AccountCommand {
    /// Adds an account.
    #[command(after_help = "\
Examples:
  exeunt account add alice --admin
  exeunt account add bob --password-stdin < password.txt")]
    Add {
        /// Its name.
        name: String,
        #[command(flatten)]
        password: PasswordSource,
        /// Makes it an administrator.
        #[arg(long)]
        admin: bool,
        /// Where its messages go: links to reset its password, and notices.
        #[arg(long, value_name = "ADDRESS")]
        email: Option<String>,
    },
    /// Lists all accounts.
    List,
    /// Refuses its logins, and ends its sessions.
    Disable {
        /// Its name.
        name: String,
        #[command(flatten)]
        last: EvenTheLast,
    },
    /// Lets it log in again.
    Enable {
        /// Its name.
        name: String,
    },
    /// Forgets wrong tries to log in, so that the next one is taken at once.
    Unlock {
        /// Its name.
        name: String,
    },
    /// Gives it another password, and ends its sessions.
    Password {
        /// Its name.
        name: String,
        #[command(flatten)]
        password: PasswordSource,
    },
    /// Sets where its messages go, or removes that. A notice of it goes to the old address.
    #[command(after_help = "\
Whoever reads that mail can reset the password.

Examples:
  exeunt account email alice alice@example.org
  exeunt account email alice --none")]
    Email {
        /// Its name.
        name: String,
        /// The address.
        #[arg(required_unless_present = "none")]
        address: Option<String>,
        /// Removes the address: no messages, and no reset of the password.
        #[arg(long, conflicts_with = "address")]
        none: bool,
    },
    /// Removes it for good, and ends its sessions. A later account of that name inherits nothing.
    Remove {
        /// Its name.
        name: String,
        #[command(flatten)]
        last: EvenTheLast,
    },
    /// Makes it an administrator or a user. If that is another role than before, its sessions end.
    #[command(after_help = "\
Examples:
  exeunt account role alice admin
  exeunt account role bob user")]
    Role {
        /// Its name.
        name: String,
        /// What it is to be.
        role: Role,
        #[command(flatten)]
        last: EvenTheLast,
    },
    /// Makes a link that creates the first administrator in the browser, once, within 15 minutes.
    ///
    /// The link before it is void. Only while there is no account at all; after that, use `exeunt account add --admin`.
    SetupLink,
}

#[derive(Debug, Subcommand)]
enum SessionCommand {
    /// Lists live sessions: of one account last seen first, of all in the order of login.
    #[command(after_help = "\
Examples:
  exeunt session list --account alice
  exeunt session list --json --limit 5000 --after DNqrr2AAAAE")]
    List {
        /// Those of one account alone.
        #[arg(long, value_name = "NAME")]
        account: Option<String>,
        /// Those after this one.
        #[arg(long, value_name = "ID", conflicts_with = "account")]
        after: Option<SessionId>,
        /// At most so many.
        #[arg(long, value_name = "NUMBER", default_value_t = 1000, conflicts_with = "account",
              value_parser = limit)]
        limit: usize,
    },
    /// Ends one session, by its public id.
    End {
        /// As `session list` shows it.
        id: SessionId,
    },
    /// Ends all sessions: of one account, or of everybody.
    #[command(after_help = "\
Examples:
  exeunt session end-all --account alice
  exeunt session end-all")]
    EndAll {
        /// Those of one account alone.
        #[arg(long, value_name = "NAME")]
        account: Option<String>,
    },
}

fn limit(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(limit @ 1..=100_000) => Ok(limit),
        _ => Err("a number from 1 to 100000".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn store_and_config_are_understood_before_and_after_every_command() {
        for line in [
            "serve",
            "config",
            "account list",
            "account add alice --password-stdin --email a@example.org",
            "account email alice --none",
            "account role alice admin --even-the-last",
            "session list",
            "session end DNqrr2AAAAE",
            "store backup b.db",
            "store accept-loss",
            "store copy a.db b.db --only sessions --final",
            "events --follow",
            "check",
        ] {
            let flags = " --store s --accounts a --config c";
            for (before, after) in [(flags, ""), ("", flags)] {
                let line = format!("exeunt{before} {line}{after}");
                let cli = Cli::try_parse_from(line.split(' ')).unwrap();
                assert_eq!(cli.global.store, Some("s".parse().unwrap()), "{line}");
                assert_eq!(cli.global.accounts, Some("a".parse().unwrap()), "{line}");
                assert_eq!(cli.global.config, Some("c".into()), "{line}");
                if let Top::Serve(options) = cli.command {
                    assert_eq!(options.store, Some("s".parse().unwrap()), "{line}");
                    assert_eq!(options.accounts, Some("a".parse().unwrap()), "{line}");
                }
            }
        }
    }
}
