//! One account: another role, address or password, its sessions' end, disabled, removed.
//!
//! Must never change the account of whoever has the name now in place of the one that was looked at, take two steps for one
//! change, nor take away the account of whoever asks.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use exeunt::{Session, Timestamp, UserId};
use serde::{Deserialize, Serialize};

use super::accounts::Row;
use super::refusal::{Refusal, told};
use super::{OWN, Then, proof};
use crate::accounts::{AccountError, Changes, Last, to_the_end};
use crate::error;
use crate::html::{Around, Page, Text};
use crate::pages::CLEAR;
use crate::pages::check::EVIL;
use crate::pages::form::{self, Sent};
use crate::pages::sessions::Listed;
use crate::pages::wrong::{self, Wrong};
use crate::site::AppState;

#[derive(Debug, Serialize)]
pub(in crate::pages) struct AccountPage {
    account: Row,
    /// Whether it is the reader's own.
    own: bool,
    sessions: Vec<Listed>,
    /// Its address, or what was typed in the place of it.
    email: String,
    errors: Wrong,
    focus: &'static str,
}

/// All that can be wrong, in the order of the page. `access`: disabling and removing.
const FIELDS: [&str; 4] = ["email", "role", "password", "access"];

impl AccountPage {
    pub(in crate::pages) fn samples(now: Timestamp) -> [Self; 5] {
        let wrong = |field| Wrong::from([(field, Text("admin-last").into())]);
        [
            (true, true, false, Wrong::new()),
            (true, true, false, wrong("role")),
            (false, false, false, wrong("email")),
            (false, true, false, wrong("access")),
            (false, false, true, wrong("password")),
        ]
        .map(|(own, admin, disabled, errors)| Self {
            account: Row { admin, disabled, ..Row::sample(now) },
            own,
            sessions: if disabled { Vec::new() } else { vec![Listed::sample(now, false)] },
            email: EVIL.to_owned(),
            focus: wrong::first(&errors, &FIELDS, ""),
            errors,
        })
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct AccountQuery {
    id: i64,
}

/// `GET /admin/account?id=7`
pub(crate) async fn account(
    State(state): State<AppState>,
    page: Page,
    session: Session,
    query: Result<Query<AccountQuery>, QueryRejection>,
) -> Response {
    match query {
        Ok(Query(AccountQuery { id })) => show(&state, &page, &session, id, None, Refusal::default()).await,
        Err(_) => error::refused(StatusCode::NOT_FOUND),
    }
}

/// `typed`: in the place of the address that the account has.
async fn show(
    state: &AppState,
    page: &Page,
    session: &Session,
    id: i64,
    typed: Option<String>,
    refusal: Refusal,
) -> Response {
    let account = match state.accounts.get(id).await {
        Ok(Some(account)) => account,
        Ok(None) => return error::refused(StatusCode::NOT_FOUND),
        Err(error) => return error::of_account(error),
    };
    let sessions = state.layer.sessions();
    let now = sessions.now();
    let records = match sessions.list(&account.user()).await {
        Ok(records) => records,
        Err(error) => return error.into_response(),
    };
    let Refusal { status, errors, retry_after } = refusal;
    let shown = AccountPage {
        own: account.user() == *session.user(),
        account: Row::new(&account, now),
        sessions: records.iter().map(|record| Listed::new(record, session.id(), now)).collect(),
        email: typed.or(account.email).unwrap_or_default(),
        focus: wrong::first(&errors, &FIELDS, ""),
        errors,
    };
    let form = form::token(session);
    let around =
        Around { who: Some(session.name()), admin: true, form: Some(&form), here: "/admin/accounts" };
    let response = page.show(status, "admin-account.html", around, &shown);
    retry_after.into_iter().fold(response, error::later)
}

/// No Debug: it may have a password.
#[derive(Deserialize)]
pub(crate) struct ChangeForm {
    /// Not a number: beside the form's token all fields are read as texts.
    id: String,
    change: Change,
    #[serde(default)]
    password: String,
    /// Empty for none.
    #[serde(default)]
    email: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Change {
    Disable,
    Email,
    Enable,
    EndSessions,
    MakeAdmin,
    MakeUser,
    Password,
    Remove,
}

impl Change {
    /// Whether it could lock its owner out, or has a page of its own for that.
    fn is_for_others_alone(self) -> bool {
        matches!(self, Self::Disable | Self::Enable | Self::Password | Self::Remove)
    }

    /// Beside what it is told that nobody would be left to administer.
    fn place(self) -> &'static str {
        if matches!(self, Self::MakeAdmin | Self::MakeUser) { "role" } else { "access" }
    }
}

/// A change that is asked for, without the password that it may be.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::pages) struct Asked {
    id: i64,
    change: Change,
    email: String,
}

impl Asked {
    /// The account's own page.
    fn back(&self) -> String {
        format!("/admin/account?id={}", self.id)
    }
}

/// `POST /admin/account`
pub(crate) async fn change(
    State(state): State<AppState>,
    page: Page,
    Sent { session, form }: Sent<ChangeForm>,
) -> Response {
    let ChangeForm { id, change, password, email } = form;
    let Ok(id) = id.parse::<i64>() else { return error::refused(StatusCode::NOT_FOUND) };
    let asked = Asked { id, change, email };
    let first = match change {
        // It is typed once more then.
        Change::Password => proof(&page, &session, &asked.back()),
        _ => Then::Change(asked.clone()).proof(&page, &session, &asked.back()),
    };
    match first {
        Some(first) => first,
        None => change_then(&state, &page, session, asked, password).await,
    }
}

/// For who has just proved who they are.
pub(super) async fn change_then(
    state: &AppState,
    page: &Page,
    session: Session,
    asked: Asked,
    password: String,
) -> Response {
    let (id, change, back) = (asked.id, asked.change, asked.back());
    let own = UserId::from(id) == *session.user();
    if own && change.is_for_others_alone() {
        let around = Around { who: Some(session.name()), admin: true, ..Around::default() };
        return page.message(StatusCode::FORBIDDEN, around, &OWN);
    }
    let typed = (change == Change::Email).then(|| asked.email.clone());
    let made = make(state, &session, asked, password).await;
    match made.map_err(|error| Refusal::of(error, change.place())) {
        // With another role this session ended, too.
        Ok(ended) if own && ended > 0 && change.place() == "role" => match session.logout().await {
            Ok(()) => (CLEAR, Redirect::to("/login?out")).into_response(),
            Err(error) => error.into_response(),
        },
        Ok(_) if change == Change::Remove => Redirect::to("/admin/accounts").into_response(),
        Ok(_) => Redirect::to(&back).into_response(),
        Err(Ok(refusal)) => show(state, page, &session, id, typed, refusal).await,
        Err(Err(error)) => told(page, &session, error),
    }
}

/// How many sessions ended with it.
async fn make(
    state: &AppState,
    session: &Session,
    Asked { id, change, email }: Asked,
    password: String,
) -> Result<usize, AccountError> {
    let accounts = state.accounts.clone();
    let (sessions, this) = (state.layer.sessions().clone(), session.id());
    let changes = match change {
        Change::Disable => Changes { disabled: Some(true), ..Changes::default() },
        Change::Enable => Changes { disabled: Some(false), ..Changes::default() },
        Change::MakeAdmin => Changes { admin: Some(true), ..Changes::default() },
        Change::MakeUser => Changes { admin: Some(false), ..Changes::default() },
        Change::Password => Changes { password: Some(password), ..Changes::default() },
        Change::Email | Change::EndSessions | Change::Remove => Changes::default(),
    };
    to_the_end(async move {
        match change {
            Change::Email => {
                let email = Some(email.as_str()).filter(|email| !email.is_empty());
                accounts.set_email_by_id(id, email).await.map(|_| 0)
            }
            Change::EndSessions => {
                let account = accounts.get(id).await?.ok_or(AccountError::NoSuchAccount)?;
                Ok(sessions.logout_all(&account.user(), Some(&this)).await?.len())
            }
            Change::Remove => Ok(accounts.remove_by_id(id, Last::Stays).await?.1),
            _ => Ok(accounts.change(id, changes, Last::Stays).await?.1),
        }
    })
    .await
}
