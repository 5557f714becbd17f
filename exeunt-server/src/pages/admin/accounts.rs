//! Accounts: find them, a page at a time, and add one.
//!
//! Must never read all of them.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use exeunt::{Session, Timestamp};
use serde::{Deserialize, Serialize};

use super::refusal::{Refusal, told};
use super::{AT_ONCE, Then};
use crate::accounts::{Account, AccountError, Accounts, Find, Place, to_the_end};
use crate::error;
use crate::html::{Around, Page, Text};
use crate::pages::ago::Ago;
use crate::pages::check::EVIL;
use crate::pages::form::{self, Sent};
use crate::pages::wrong::{self, Wrong};
use crate::site::AppState;

#[derive(Debug, Serialize)]
pub(in crate::pages) struct AccountsPage {
    /// What names are to have in them.
    query: String,
    accounts: Vec<Row>,
    /// The names that the pages on either side lie beside.
    before: Option<String>,
    after: Option<String>,
    /// What was typed of an account that could not be added.
    username: String,
    email: String,
    make_admin: bool,
    errors: Wrong,
    focus: &'static str,
}

#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub(super) id: i64,
    pub(super) name: String,
    pub(super) admin: bool,
    pub(super) disabled: bool,
    pub(super) added: Ago,
}

impl Row {
    pub(super) fn new(account: &Account, now: Timestamp) -> Self {
        let Account { id, name, admin, disabled, created_at, .. } = account;
        Self {
            id: *id,
            name: name.clone(),
            admin: *admin,
            disabled: *disabled,
            added: Ago::new(*created_at, now),
        }
    }

    pub(super) fn sample(now: Timestamp) -> Self {
        Self { id: 7, name: EVIL.to_owned(), admin: true, disabled: true, added: Ago::new(now, now) }
    }
}

impl AccountsPage {
    /// Nothing found; and all that can be, with mistakes.
    pub(in crate::pages) fn samples(now: Timestamp) -> [Self; 3] {
        let wrong = Wrong::from([
            ("username", Text("name-taken").into()),
            ("email", Text("email-at").into()),
            ("password", Text("password-busy").into()),
        ]);
        let beside = Some(EVIL.to_owned());
        [("", None, Wrong::new()), (EVIL, None, Wrong::new()), (EVIL, beside, wrong)].map(
            |(query, beside, errors)| Self {
                query: query.to_owned(),
                accounts: beside.iter().map(|_| Row::sample(now)).collect(),
                before: beside.clone(),
                after: beside,
                username: EVIL.to_owned(),
                email: EVIL.to_owned(),
                make_admin: !errors.is_empty(),
                focus: wrong::first(&errors, &FIELDS, ""),
                errors,
            },
        )
    }
}

/// Of the form that adds an account.
const FIELDS: [&str; 3] = ["username", "email", "password"];

#[derive(Debug, Default, Deserialize)]
pub(crate) struct AccountsQuery {
    #[serde(default)]
    q: String,
    after: Option<String>,
    before: Option<String>,
}

impl AccountsQuery {
    fn place(&self) -> Place<'_> {
        match (&self.before, &self.after) {
            (Some(name), _) => Place::Before(name),
            (None, Some(name)) => Place::After(name),
            (None, None) => Place::default(),
        }
    }
}

/// `GET /admin/accounts?q=al&after=alan`
pub(crate) async fn accounts(
    State(state): State<AppState>,
    page: Page,
    session: Session,
    query: Result<Query<AccountsQuery>, QueryRejection>,
) -> Response {
    let Query(query) = query.unwrap_or_default();
    list(&state, &page, &session, query, Typed::default(), None).await
}

/// What was typed of an account to add, but for its password.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(in crate::pages) struct Typed {
    username: String,
    email: String,
    admin: bool,
}

async fn list(
    state: &AppState,
    page: &Page,
    session: &Session,
    query: AccountsQuery,
    typed: Typed,
    refusal: Option<Refusal>,
) -> Response {
    let found = match find(&state.accounts, &query.q, query.place()).await {
        Ok(found) => found,
        Err(error) => return error::of_account(error),
    };
    let now = state.layer.sessions().now();
    let Refusal { status, errors, retry_after } = refusal.unwrap_or_default();
    let unless_wrong = if typed.username.is_empty() { "" } else { "password" };
    let shown = AccountsPage {
        query: query.q,
        accounts: found.accounts.iter().map(|account| Row::new(account, now)).collect(),
        before: found.before,
        after: found.after,
        username: typed.username,
        email: typed.email,
        make_admin: typed.admin,
        focus: wrong::first(&errors, &FIELDS, unless_wrong),
        errors,
    };
    let form = form::token(session);
    let around =
        Around { who: Some(session.name()), admin: true, form: Some(&form), here: "/admin/accounts" };
    let response = page.show(status, "admin-accounts.html", around, &shown);
    retry_after.into_iter().fold(response, error::later)
}

/// A page of accounts, and the names that its neighbours lie beside.
struct Found {
    accounts: Vec<Account>,
    before: Option<String>,
    after: Option<String>,
}

async fn find(accounts: &Accounts, part: &str, place: Place<'_>) -> Result<Found, AccountError> {
    // One more tells whether there is a page behind.
    let page = |place| accounts.page(Find { part, place, ..Find::default() }, AT_ONCE + 1);
    let mut place = place;
    if let Place::Before(_) = place {
        let mut found = page(place).await?;
        if found.len() > AT_ONCE {
            found.remove(0);
            let name = |account: Option<&Account>| account.map(|account| account.name.clone());
            return Ok(Found { before: name(found.first()), after: name(found.last()), accounts: found });
        }
        // Nothing comes before these: it is the first page, and that is a whole one.
        place = Place::default();
    }
    let mut found = page(place).await?;
    let more = found.len() > AT_ONCE;
    found.truncate(AT_ONCE);
    let before = match place {
        Place::After(name) if !name.is_empty() => {
            Some(found.first().map_or_else(|| name.to_owned(), |account| account.name.clone()))
        }
        _ => None,
    };
    let after = found.last().filter(|_| more).map(|account| account.name.clone());
    Ok(Found { accounts: found, before, after })
}

/// No Debug: it has a password.
#[derive(Deserialize)]
pub(crate) struct AddForm {
    username: String,
    password: String,
    /// Empty for none.
    #[serde(default)]
    email: String,
    admin: Option<String>,
}

/// `POST /admin/accounts`
pub(crate) async fn add(
    State(state): State<AppState>,
    page: Page,
    Sent { session, form }: Sent<AddForm>,
) -> Response {
    let AddForm { username, password, email, admin } = form;
    let typed = Typed { username: username.clone(), email: email.clone(), admin: admin.is_some() };
    if let Some(first) = Then::Add(typed.clone()).proof(&page, &session, "/admin/accounts") {
        return first;
    }
    let (accounts, now, admin) = (state.accounts.clone(), state.layer.sessions().now(), typed.admin);
    let added = to_the_end(async move {
        let email = Some(email.as_str()).filter(|email| !email.is_empty());
        accounts.add_with_email(&username, &password, admin, email, now).await
    });
    match added.await.map_err(|error| Refusal::of(error, "username")) {
        Ok(account) => Redirect::to(&format!("/admin/account?id={}", account.id)).into_response(),
        Err(Ok(refusal)) => {
            list(&state, &page, &session, AccountsQuery::default(), typed, Some(refusal)).await
        }
        Err(Err(error)) => told(&page, &session, error),
    }
}

/// Whoever was asked for their password in between goes on where they were.
pub(super) async fn add_then(state: &AppState, page: &Page, session: &Session, typed: Typed) -> Response {
    list(state, page, session, AccountsQuery::default(), typed, None).await
}
