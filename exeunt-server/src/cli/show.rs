//! Shows an answer to a person.

use std::fmt::Write as _;

use crate::accounts::Account;
use crate::admin::{Check, Fact, Reply, SessionLine, SetupLink};

/// The answer as text, each line ended.
pub(super) fn text(reply: &Reply) -> String {
    match reply {
        Reply::Changed { account, sessions_ended } => {
            format!("done: {}; {}\n", one(account), ended(*sessions_ended))
        }
        Reply::Account { account } => format!("done: {}\n", one(account)),
        Reply::Accounts { accounts } => list_accounts(accounts),
        Reply::SetupLink(SetupLink { setup_link, expires_at }) => format!(
            "Open this link to make the first administrator. It works once, until {expires_at}:\n\n  {setup_link}\n"
        ),
        Reply::Sessions { sessions, next } => {
            let mut text = list_sessions(sessions);
            if let Some(next) = next {
                let _ = writeln!(text, "There may be more: --after {next}");
            }
            text
        }
        Reply::Ended { sessions_ended } => format!("done: {}\n", ended(*sessions_ended)),
        Reply::Events { events } => events.iter().map(|event| format!("{event}\n")).collect(),
        Reply::Check { check } => checked(check),
    }
}

fn one(account: &Account) -> String {
    let admin = if account.admin { ", administrator" } else { "" };
    let disabled = if account.disabled { ", disabled" } else { "" };
    let email = account.email.as_ref().map(|email| format!(", {email}")).unwrap_or_default();
    format!("account {} {:?}{admin}{disabled}{email}", account.id, account.name)
}

fn ended(sessions: usize) -> String {
    match sessions {
        1 => "1 session ended".to_owned(),
        many => format!("{many} sessions ended"),
    }
}

fn list_accounts(accounts: &[Account]) -> String {
    let head = ["NUMBER", "NAME", "ROLE", "STATE", "ADDED", "E-MAIL"].map(str::to_owned);
    let row = |account: &Account| {
        let role = if account.admin { "administrator" } else { "-" };
        let state = if account.disabled { "disabled" } else { "enabled" };
        let added = account.created_at.to_string();
        let email = account.email.clone().unwrap_or_else(|| "-".to_owned());
        [account.id.to_string(), account.name.clone(), role.to_owned(), state.to_owned(), added, email]
    };
    table(std::iter::once(head).chain(accounts.iter().map(row)).collect())
}

fn list_sessions(sessions: &[SessionLine]) -> String {
    let head = ["ID", "ACCOUNT", "LOGIN", "LAST SEEN", "ENDS", "ADDRESS", "CLIENT"].map(str::to_owned);
    let row = |session: &SessionLine| {
        let account = session.account.clone().unwrap_or_else(|| format!("({}, removed)", session.user));
        let [login, seen, ends] =
            [session.created_at, session.seen_at, session.expires_at].map(|at| at.to_string());
        let address = session.address.map_or_else(|| "-".to_owned(), |address| address.to_string());
        [session.id.to_string(), account, login, seen, ends, address, session.client.clone()]
    };
    table(std::iter::once(head).chain(sessions.iter().map(row)).collect())
}

/// Columns as wide as their widest cell, two spaces between them, none at the end of a line.
fn table<const N: usize>(rows: Vec<[String; N]>) -> String {
    let mut widths = [0; N];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            let _ = write!(line, "{cell:width$}  ");
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

fn checked(check: &Check) -> String {
    let mut text = String::new();
    for engine in &check.engines {
        let _ = writeln!(text, "{:22}  {}", engine.keeps, engine.place);
        for Fact { name, value } in &engine.facts {
            let _ = writeln!(text, "  {name:20}  {value}");
        }
    }
    let _ = writeln!(
        text,
        "accounts                {} ({} administrators who may log in)",
        check.accounts, check.administrators
    );
    let _ = writeln!(text, "live sessions           {}", check.sessions);
    for problem in &check.problems {
        let _ = writeln!(text, "problem                 {problem}");
    }
    text.push_str(if check.ok { "all is well\n" } else { "something is wrong\n" });
    text
}
