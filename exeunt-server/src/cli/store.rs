//! `exeunt store …`: copies, backs up and prepares places.
//!
//! Must never say "done" before all of it is durable.

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;

use exeunt::store::postgres;
use serde::Serialize;

use super::StoreCommand;
use crate::accounts;
use crate::admin::Failure;
use crate::backup::backup;
use crate::config::Config;
use crate::copy::{Copied, Only, Order, SessionsCopied, copy};

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
        "Sessions that end from now on live in it. Once it is restored, and before a server starts on it, run \
         `exeunt session end-all`."
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
