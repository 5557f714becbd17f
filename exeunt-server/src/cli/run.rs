//! Does what the command line says.
//!
//! Must never print "done" before the database, or the server that owns it, has said so.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser as _;
use exeunt::{By, Origin, Sessions, SystemClock};
use tokio::time::Instant;

use super::{AccountCommand, Cli, Role, SessionCommand, Top, events, password, show, store};
use crate::accounts::{AccountError, Hasher};
use crate::admin::{Admin, Code, Command, Failure, Reply};
use crate::config::{self, Config, ConfigError, Options, Place};
use crate::engines::{AccountsLost, EngineError, Engines, Patience, password_policy};
use crate::mail::Outbox;
use crate::{control, serve};

/// How long a command waits for the mail server to take the notices of what it did.
const NOTICES_WITHIN: Duration = Duration::from_secs(10);

/// Runs the program with these arguments, the first of which is its name.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    // Arguments that cannot be read have to be answered in the form that was asked for, too.
    let wants_json = arguments.iter().any(|argument| argument == "--json");
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) if wants_json && error.use_stderr() => {
            let failure = Failure::new(Code::Usage, error.to_string().trim_end());
            let _ = writeln!(std::io::stderr(), "{}", serde_json::json!({ "error": failure }));
            return ExitCode::from(Code::Usage.exit_code());
        }
        Err(error) => {
            // Help and version are no errors, and go to standard output.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let json = match &cli.command {
        Top::Account { output, .. }
        | Top::Session { output, .. }
        | Top::Store { output, .. }
        | Top::Events { output, .. }
        | Top::Check { output } => output.json,
        Top::Serve(_) | Top::Config => false,
    };
    match run(cli, json) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            let failure = failure(&error);
            let text = match json {
                true => serde_json::json!({ "error": failure }).to_string(),
                false => format!("exeunt: {}", failure.message),
            };
            let _ = writeln!(std::io::stderr(), "{text}");
            ExitCode::from(failure.code.exit_code())
        }
    }
}

fn run(cli: Cli, json: bool) -> anyhow::Result<u8> {
    let Cli { global, command } = cli;
    let file = global.config.as_deref();
    let flags = Options { store: global.store, accounts: global.accounts, ..Options::default() };
    let command = match command {
        Top::Serve(options) => {
            let config = Config::load(file, options.over(flags))?;
            let runtime = tokio::runtime::Runtime::new().context("starting the runtime")?;
            return runtime.block_on(serve::serve(config)).map(|()| 0);
        }
        Top::Config => {
            let set = config::read(file, std::env::vars_os(), flags)?;
            Config::decide(set.clone())?;
            for file in [&set.store, &set.accounts].into_iter().flatten().filter_map(Place::file) {
                if file.to_str().is_none() {
                    let message = format!(
                        "store or accounts {file:?} is not UTF-8, so it cannot stand in a configuration file"
                    );
                    return Err(Failure::new(Code::Usage, message).into());
                }
            }
            return print(&config::print(&set)).map(|()| 0);
        }
        Top::Store { command, .. } => {
            let config = || Ok(Config::load(file, flags)?);
            let done = one_thread()?.block_on(store::run(command, config, json))?;
            return print(&if json { format!("{}\n", done.json) } else { done.text }).map(|()| 0);
        }
        Top::Events { command, .. } => {
            let config = Config::load(file, flags)?;
            return one_thread()?.block_on(events::run(&config, command, json)).map(|()| 0);
        }
        Top::Account { command, .. } => account(command)?,
        Top::Session { command, .. } => session(command),
        Top::Check { .. } => Command::Check,
    };
    let config = Config::load(file, flags)?;
    let reply = one_thread()?.block_on(ask(&config, command))?;
    let sound = !matches!(&reply, Reply::Check { check } if !check.ok);
    match json {
        true => print(&format!("{}\n", serde_json::to_string(&reply)?))?,
        false => print(&show::text(&reply))?,
    }
    Ok(if sound { 0 } else { Code::Failed.exit_code() })
}

fn one_thread() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting the runtime")
}

fn account(command: AccountCommand) -> Result<Command, Failure> {
    Ok(match command {
        AccountCommand::Add { name, password, admin, email } => {
            Command::AccountAdd { name, password: password::read(password.password_stdin)?, admin, email }
        }
        AccountCommand::Email { name, address, none: _ } => Command::AccountEmail { name, email: address },
        AccountCommand::List => Command::AccountList,
        AccountCommand::Disable { name, last } => {
            Command::AccountDisable { name, even_the_last: last.even_the_last }
        }
        AccountCommand::Enable { name } => Command::AccountEnable { name },
        AccountCommand::Unlock { name } => Command::AccountUnlock { name },
        AccountCommand::Password { name, password } => {
            Command::AccountPassword { name, password: password::read(password.password_stdin)? }
        }
        AccountCommand::Remove { name, last } => {
            Command::AccountRemove { name, even_the_last: last.even_the_last }
        }
        AccountCommand::Role { name, role, last } => {
            Command::AccountRole { name, admin: role == Role::Admin, even_the_last: last.even_the_last }
        }
        AccountCommand::SetupLink => Command::SetupLink,
    })
}

fn session(command: SessionCommand) -> Command {
    match command {
        SessionCommand::List { account, after, limit } => Command::SessionList { account, after, limit },
        SessionCommand::End { id } => Command::SessionEnd { session: id },
        SessionCommand::EndAll { account } => Command::SessionEndAll { account },
    }
}

/// Has the server do it that owns the files, or does it itself where no server owns one.
pub(super) async fn ask(config: &Config, command: Command) -> Result<Reply, Failure> {
    let creates = matches!(command, Command::AccountAdd { .. } | Command::SetupLink);
    let files = [config.accounts.file(), config.store.file()];
    if let Some(missing) = files.into_iter().flatten().find(|file| !creates && !file.exists()) {
        return Err(no_store(missing));
    }
    let patience = Patience::begin();
    loop {
        let error = match Engines::open(config).await {
            Ok(engines) => return do_it(config, engines, command).await,
            Err(error) => error,
        };
        let Some(path) = error.locked() else { return Err(error.into()) };
        match control::reach(path).await {
            Ok(owner) => return owner.ask(&command).await,
            // Another command may have it open for a moment, or a server is about to listen.
            Err(_) if patience.again().await => (),
            Err(failure) => return Err(failure),
        }
    }
}

async fn do_it(config: &Config, engines: Engines, command: Command) -> Result<Reply, Failure> {
    let sessions = Sessions::over(engines.store(0).await?).lifetime(config.lifetime());
    let hasher = Hasher::new().map_err(|error| Failure::caused(Code::Failed, &error))?;
    let policy = password_policy(config).map_err(|error| Failure::caused(Code::Usage, &error))?;
    let outbox = Outbox::open(config, Arc::new(SystemClock::new()));
    let outbox = outbox.map_err(|error| Failure::caused(Code::Usage, &error))?;
    let accounts = engines.accounts(&sessions, hasher).await?.policy(policy).mailing(outbox.clone());
    let audit = accounts.audit();
    let admin = Admin::new(accounts, sessions, engines.clone(), config.public_url_at(config.listen));
    let reply = Origin::default().by(By::Operator).scope(admin.run(command)).await;
    audit.stop().await;
    engines.close();
    outbox.drain(Instant::now() + NOTICES_WITHIN).await;
    reply
}

pub(super) fn no_store(path: &Path) -> Failure {
    let message = format!(
        "there is no store at {}: name it with --store or --accounts; `exeunt serve` and `exeunt account add` make a \
         new one",
        path.display()
    );
    Failure::new(Code::Store, message)
}

fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // Who reads has enough of it, as in `exeunt session list | head`. What was asked for is done.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("writing to standard output"),
    }
}

/// What to tell the operator, with all causes, and as which exit code.
fn failure(error: &anyhow::Error) -> Failure {
    if let Some(failure) = error.downcast_ref::<Failure>() {
        return failure.clone();
    }
    let code = if error.downcast_ref::<ConfigError>().is_some() {
        Code::Usage
    } else if error.is::<EngineError>() || error.is::<AccountsLost>() || error.is::<AccountError>() {
        Code::Store
    } else {
        Code::Failed
    };
    Failure::caused(code, error.as_ref())
}
