//! Accounts: find, add, disable, give another password, end the sessions of, remove.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use exeunt::{Session, Timestamp};
use serde::{Deserialize, Serialize};

use super::{AT_ONCE, OWN, proof};
use crate::accounts::{Account, AccountError};
use crate::error;
use crate::html::{Around, Page, Text};
use crate::pages::Wrong;
use crate::pages::ago::Ago;
use crate::pages::check::EVIL;
use crate::pages::form::{self, Sent};
use crate::pages::reasons::{of_name, of_password};
use crate::pages::sessions::Listed;
use crate::site::AppState;

#[derive(Debug, Serialize)]
pub(in crate::pages) struct AccountsPage {
    /// What names are to contain.
    query: String,
    accounts: Vec<Row>,
    /// How many there are in all.
    total: usize,
    /// The numbers of the pages beside this one.
    before: Option<usize>,
    after: Option<usize>,
    username: String,
    errors: Wrong,
    focus: &'static str,
}

#[derive(Debug, Serialize)]
struct Row {
    id: i64,
    name: String,
    admin: bool,
    disabled: bool,
    added: Ago,
}

impl Row {
    fn new(account: &Account, now: Timestamp) -> Self {
        let Account { id, name, admin, disabled, created_at, .. } = account;
        Self {
            id: *id,
            name: name.clone(),
            admin: *admin,
            disabled: *disabled,
            added: Ago::new(*created_at, now),
        }
    }

    fn sample(now: Timestamp) -> Self {
        Self { id: 7, name: EVIL.to_owned(), admin: true, disabled: true, added: Ago::new(now, now) }
    }
}

impl AccountsPage {
    pub(in crate::pages) fn samples(now: Timestamp) -> [Self; 2] {
        let wrong = Wrong::from([("username", Text("name-taken").into())]);
        [(Wrong::new(), None), (wrong, Some(2))].map(|(errors, beside)| Self {
            query: EVIL.to_owned(),
            accounts: beside.map(|_| Row::sample(now)).into_iter().collect(),
            total: 3,
            before: beside,
            after: beside,
            username: EVIL.to_owned(),
            errors,
            focus: "",
        })
    }
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct AccountsQuery {
    q: Option<String>,
    page: Option<usize>,
}

/// `GET /admin/accounts`
pub(crate) async fn accounts(
    State(state): State<AppState>,
    page: Page,
    session: Session,
    query: Result<Query<AccountsQuery>, QueryRejection>,
) -> Response {
    let Query(query) = query.unwrap_or_default();
    list(&state, &page, &session, query, Wrong::new(), String::new()).await
}

async fn list(
    state: &AppState,
    page: &Page,
    session: &Session,
    query: AccountsQuery,
    errors: Wrong,
    username: String,
) -> Response {
    let all = match state.accounts.list().await {
        Ok(all) => all,
        Err(error) => return error::of_account(error),
    };
    let wanted = query.q.unwrap_or_default();
    let lower = wanted.to_lowercase();
    let found: Vec<_> = all.iter().filter(|account| account.name.to_lowercase().contains(&lower)).collect();
    let number = query.page.unwrap_or(1).max(1);
    let skipped = (number - 1).saturating_mul(AT_ONCE);
    let now = state.layer.sessions().now();
    let shown = AccountsPage {
        query: wanted,
        accounts: found.iter().skip(skipped).take(AT_ONCE).map(|account| Row::new(account, now)).collect(),
        total: found.len(),
        before: (number > 1).then(|| number - 1),
        after: (found.len().saturating_sub(skipped) > AT_ONCE).then(|| number + 1),
        username,
        focus: errors.keys().next().copied().unwrap_or_default(),
        errors,
    };
    let status = if shown.errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let form = form::token(session);
    let around =
        Around { who: Some(session.name()), admin: true, form: Some(&form), here: "/admin/accounts" };
    page.show(status, "admin-accounts.html", around, &shown)
}

/// No Debug: it has a password.
#[derive(Deserialize)]
pub(crate) struct AddForm {
    username: String,
    password: String,
    admin: Option<String>,
}

/// `POST /admin/accounts`
pub(crate) async fn add(
    State(state): State<AppState>,
    page: Page,
    Sent { session, form }: Sent<AddForm>,
) -> Response {
    if let Some(first) = proof(&page, &session, "/admin/accounts") {
        return first;
    }
    let AddForm { username, password, admin } = form;
    let now = state.layer.sessions().now();
    let wrong = match state.accounts.add(&username, &password, admin.is_some(), now).await {
        Ok(account) => return Redirect::to(&format!("/admin/account?id={}", account.id)).into_response(),
        Err(AccountError::NameTaken) => ("username", Text("name-taken").into()),
        Err(AccountError::BadName { reason }) => ("username", of_name(&reason)),
        Err(AccountError::BadPassword { reason }) => ("password", of_password(&reason)),
        Err(error) => return error::of_account(error),
    };
    list(&state, &page, &session, AccountsQuery::default(), Wrong::from([wrong]), username).await
}

#[derive(Debug, Serialize)]
pub(in crate::pages) struct AccountPage {
    account: Row,
    /// Whether it is the reader's own.
    own: bool,
    sessions: Vec<Listed>,
    errors: Wrong,
    focus: &'static str,
}

impl AccountPage {
    pub(in crate::pages) fn samples(now: Timestamp) -> [Self; 3] {
        [(true, false), (false, false), (false, true)].map(|(own, disabled)| Self {
            account: Row { disabled, ..Row::sample(now) },
            own,
            sessions: vec![Listed::sample(now, false)],
            errors: if own { Wrong::new() } else { Wrong::from([("password", Text("password-bad").into())]) },
            focus: "",
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
        Ok(Query(AccountQuery { id })) => show(&state, &page, &session, id, Wrong::new()).await,
        Err(_) => error::refused(StatusCode::NOT_FOUND),
    }
}

async fn show(state: &AppState, page: &Page, session: &Session, id: i64, errors: Wrong) -> Response {
    let account = match state.accounts.find_user(&id.into()).await {
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
    let shown = AccountPage {
        own: account.user() == *session.user(),
        account: Row::new(&account, now),
        sessions: records.iter().map(|record| Listed::new(record, session.id(), now)).collect(),
        focus: if errors.is_empty() { "" } else { "password" },
        errors,
    };
    let status = if shown.errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let form = form::token(session);
    let around =
        Around { who: Some(session.name()), admin: true, form: Some(&form), here: "/admin/accounts" };
    page.show(status, "admin-account.html", around, &shown)
}

/// No Debug: it may have a password.
#[derive(Deserialize)]
pub(crate) struct ChangeForm {
    /// Not a number: beside the form's token all fields are read as texts.
    id: String,
    change: Change,
    #[serde(default)]
    password: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Change {
    Disable,
    Enable,
    EndSessions,
    Password,
    Remove,
}

/// `POST /admin/account`
pub(crate) async fn change(
    State(state): State<AppState>,
    page: Page,
    Sent { session, form }: Sent<ChangeForm>,
) -> Response {
    let ChangeForm { id, change, password } = form;
    let Ok(id) = id.parse::<i64>() else { return error::refused(StatusCode::NOT_FOUND) };
    let back = format!("/admin/account?id={id}");
    if let Some(first) = proof(&page, &session, &back) {
        return first;
    }
    let account = match state.accounts.find_user(&id.into()).await {
        Ok(Some(account)) => account,
        Ok(None) => return error::refused(StatusCode::NOT_FOUND),
        Err(error) => return error::of_account(error),
    };
    // Whoever asks keeps their account, so that there always is an administrator; their own page changes their password.
    if account.user() == *session.user() && change != Change::EndSessions {
        let around = Around { who: Some(session.name()), admin: true, ..Around::default() };
        return page.message(StatusCode::FORBIDDEN, around, &OWN);
    }
    let accounts = &state.accounts;
    let changed = match change {
        Change::Disable => accounts.disable(&account.name).await.map(drop),
        Change::Enable => accounts.enable(&account.name).await,
        Change::Password => accounts.set_password(&account.name, &password).await.map(drop),
        Change::Remove => accounts.remove(&account.name).await.map(drop),
        Change::EndSessions => {
            let this = session.id();
            let ended = state.layer.sessions().logout_all(&account.user(), Some(&this)).await;
            ended.map(drop).map_err(AccountError::from)
        }
    };
    match changed {
        Ok(()) if change == Change::Remove => Redirect::to("/admin/accounts").into_response(),
        Ok(()) => Redirect::to(&back).into_response(),
        Err(AccountError::BadPassword { reason }) => {
            show(&state, &page, &session, id, Wrong::from([("password", of_password(&reason))])).await
        }
        Err(error) => error::of_account(error),
    }
}
