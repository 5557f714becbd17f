//! Pages for administrators: accounts, everybody's live sessions, and what happened.
//!
//! Must never answer somebody who is no administrator at that moment, do anything for somebody who has not proved lately who
//! they are, nor let administrators take away their own account.

mod account;
mod accounts;
mod events;
mod refusal;
mod sessions;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;
use exeunt::{By, Origin, RECENT, Session};
use serde::{Deserialize, Serialize};

pub(super) use self::account::AccountPage;
pub(crate) use self::account::{account, change};
pub(super) use self::accounts::AccountsPage;
pub(crate) use self::accounts::{accounts, add};
pub(super) use self::events::EventsPage;
pub(crate) use self::events::events;
pub(super) use self::refusal::{LEFT, UNKNOWN};
pub(super) use self::sessions::SessionsPage;
pub(crate) use self::sessions::{end as end_session, sessions};
use super::again;
use crate::accounts::Account;
use crate::error;
use crate::html::{Action, Around, Message, Page, Text, Tone};
use crate::site::AppState;

/// How many stand on a page.
const AT_ONCE: usize = 50;

/// Lets administrators in, asked of the accounts each time, and says of all that they do who did it.
pub(crate) async fn require_admin(
    State(state): State<AppState>,
    page: Page,
    session: Session,
    request: Request,
    next: Next,
) -> Response {
    match administrator(&state, &page, &session).await {
        Ok(by) => Origin::current().by(by).scope(next.run(request)).await,
        Err(refused) => refused,
    }
}

/// As who they do it; or what to tell somebody who is no administrator.
async fn administrator(state: &AppState, page: &Page, session: &Session) -> Result<By, Response> {
    let account = state.accounts.find_user(session.user()).await.map_err(error::of_account)?;
    match account.filter(|account| account.admin && !account.disabled) {
        Some(Account { name, .. }) => Ok(By::Admin(session.user().clone(), name)),
        None => {
            let around = Around { who: Some(session.name()), ..Around::default() };
            Err(page.message(StatusCode::FORBIDDEN, around, &NOT_FOR_YOU))
        }
    }
}

pub(super) const NOT_FOR_YOU: Message =
    Message { title: Text("error-403"), text: Text("admin-only"), tone: Tone::Plain, action: Action::Home };

pub(super) const OWN: Message =
    Message { title: Text("error-403"), text: Text("admin-own"), tone: Tone::Plain, action: Action::Home };

/// What a form asked for that needs the password first. As a text it goes along until then, with no password in it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Then {
    /// The form once more: its password did not go along.
    Add(accounts::Typed),
    Change(account::Asked),
}

impl Then {
    pub(super) fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// The way to prove it, after which it goes on; `None` for who has done so lately.
    fn proof(&self, page: &Page, session: &Session, back: &str) -> Option<Response> {
        let then = serde_json::to_string(self).unwrap_or_default();
        let old = !session.is_recent(RECENT);
        old.then(|| again::ask(page, session, StatusCode::FORBIDDEN, &then, back))
    }
}

/// Goes on with it, for whoever has just proved who they are, if they are an administrator now.
pub(super) async fn go_on(state: &AppState, page: &Page, session: Session, then: Then) -> Response {
    let by = match administrator(state, page, &session).await {
        Ok(by) => by,
        Err(refused) => return refused,
    };
    let going_on = async {
        match then {
            Then::Add(typed) => accounts::add_then(state, page, &session, typed).await,
            Then::Change(asked) => account::change_then(state, page, session, asked, String::new()).await,
        }
    };
    Origin::current().by(by).scope(going_on).await
}

/// The way to prove it, which leads back to the page; `None` for who has done so lately.
fn proof(page: &Page, session: &Session, back: &str) -> Option<Response> {
    let old = !session.is_recent(RECENT);
    old.then(|| again::ask(page, session, StatusCode::FORBIDDEN, "", back))
}
