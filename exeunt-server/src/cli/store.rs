//! `exeunt store …`: copies, backs up and prepares places.
//!
//! Must never say "done" before all of it is durable.

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;

use exeunt::store::postgres;
use exeunt::store::sqlite::{Database, Loss, OpenError};
use serde::Serialize;

use super::StoreCommand;
use super::run::no_store;
use crate::accounts;
use crate::admin::{Code, Failure};
use crate::backup::backup;
use crate::config::{Config, Place};
use crate::copy::{Copied, Only, Order, SessionsCopied, copy};
use crate::engines::Patience;

/// What to print once it is done.
pub(super) struct Done {
    pub(super) text: String,
    pub(super) json: serde_json::Value,
}

/// Does it. `config`: what the options name.
pub(super) async fn run(
    command: StoreCommand,
    config: impl FnOnce() -> anyhow::Result<Config>,
    json: bool,
) -> anyhow::Result<Done> {
    match command {
        StoreCommand::Copy { from, to, only, last } => {
            let is_watched = !json && std::io::stderr().is_terminal();
            let progress = move |copied: &SessionsCopied| {
                if is_watched {
                    let _ =
                        writeln!(std::io::stderr(), "{} sessions so far: {}", copied.seen(), counts(copied));
                }
            };
            let copied = copy(&Order { from, to, only, last }, &progress).await?;
            Ok(Done { text: copied_text(&copied), json: serde_json::json!({ "copied": copied }) })
        }
        StoreCommand::Backup { file } => Ok(backed_up(&config()?, &file)?),
        StoreCommand::AcceptLoss => Ok(accept_loss(&config()?).await?),
        StoreCommand::Schema { only } => {
            let text = schema(only);
            Ok(Done { json: serde_json::json!({ "schema": text }), text })
        }
    }
}

fn counts(copied: &SessionsCopied) -> String {
    let SessionsCopied { made, changed, same, removed, left } = copied;
    let mut text =
        format!("{made} copied, {changed} brought up to date, {same} as they should be, {removed} removed");
    if *left > 0 {
        text.push_str(&format!(", {left} in TO alone"));
    }
    text
}

fn copied_text(copied: &Copied) -> String {
    let mut text = String::new();
    if let Some(sessions) = &copied.sessions {
        text.push_str(&format!("sessions: {}\n", counts(sessions)));
    }
    if let Some(accounts::copy::AccountsCopied { made, changed, same, removed }) = copied.accounts {
        text.push_str(&format!(
            "accounts: {made} copied, {changed} brought up to date, {same} as they should be, {removed} removed\n"
        ));
    }
    for note in &copied.notes {
        text.push_str(&format!("\n{note}\n"));
    }
    text
}

#[derive(Serialize)]
struct Backup<'a> {
    file: &'a Path,
    bytes: u64,
    notes: Vec<String>,
}

fn backed_up(config: &Config, file: &Path) -> Result<Done, Failure> {
    let bytes = backup(&config.store, file)?;
    let mut notes = vec![
        "No session lives in it. Once it is restored, and if accounts are in it, `exeunt serve` waits for \
         `exeunt store accept-loss`: what changed since is missing."
            .to_owned(),
    ];
    if config.accounts != config.store {
        notes.push(format!("Accounts are in {}, and not in this backup.", config.accounts));
    }
    let mut text = format!("done: {bytes} bytes in {}\n", file.display());
    for note in &notes {
        text.push_str(&format!("\n{note}\n"));
    }
    Ok(Done { text, json: serde_json::json!({ "backup": Backup { file, bytes, notes } }) })
}

/// Both files, where there are two.
async fn accept_loss(config: &Config) -> Result<Done, Failure> {
    let mut files: Vec<_> = [&config.store, &config.accounts].into_iter().filter_map(Place::file).collect();
    files.dedup();
    if files.is_empty() {
        let message = "sessions and accounts are not in a file: PostgreSQL and Redis have their own means to tell what they lost";
        return Err(Failure::new(Code::Usage, message));
    }
    let (mut text, mut accepted) = (String::new(), Vec::new());
    for file in files {
        if !file.exists() {
            return Err(no_store(file));
        }
        let loss = accept(file).await?;
        text.push_str(&match loss {
            Some(loss) => format!("accepted: {}: {loss}. Its sessions have ended.\n", file.display()),
            None => format!("{}: nothing is missing, and nothing was changed\n", file.display()),
        });
        let loss = loss.map(|loss| loss.to_string());
        accepted.push(serde_json::json!({ "file": file, "loss": loss }));
    }
    Ok(Done { text, json: serde_json::json!({ "accepted": accepted }) })
}

async fn accept(file: &Path) -> Result<Option<Loss>, Failure> {
    let patience = Patience::begin();
    loop {
        match Database::accept_loss(file) {
            Err(OpenError::Locked { .. }) if patience.again().await => (),
            accepted => return accepted.map_err(|error| Failure::caused(Code::Store, &error)),
        }
    }
}

fn schema(only: Option<Only>) -> String {
    let mut text = String::from(
        "-- What exeunt needs in PostgreSQL. Apply it with the search_path that the servers have; twice does no harm.\n\
         -- Then give their role USAGE on the schema and its sequences, and SELECT, INSERT, UPDATE and DELETE on the\n\
         -- tables. `exeunt store copy` into it sets a sequence: its role needs UPDATE on that, too.\n",
    );
    if only != Some(Only::Accounts) {
        text.push_str("\n-- Sessions\n");
        text.push_str(&postgres::schema(postgres::COMPONENT, postgres::STEPS));
    }
    if only != Some(Only::Sessions) {
        text.push_str("\n-- Accounts\n");
        text.push_str(&postgres::schema(accounts::COMPONENT, accounts::POSTGRES_STEPS));
    }
    text
}
