//! Pages for administrators: accounts, and everybody's live sessions.
//!
//! Must never answer somebody who is no administrator at that moment, do anything for somebody who has not proved lately who
//! they are, nor let administrators take away their own account.

mod accounts;
mod sessions;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;
use exeunt::{By, Origin, RECENT, Session};

pub(super) use self::accounts::{AccountPage, AccountsPage};
pub(crate) use self::accounts::{account, accounts, add, change};
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
    let account = match state.accounts.find_user(session.user()).await {
        Ok(account) => account,
        Err(error) => return error::of_account(error),
    };
    let Some(Account { name, .. }) = account.filter(|account| account.admin && !account.disabled) else {
        let around = Around { who: Some(session.name()), ..Around::default() };
        return page.message(StatusCode::FORBIDDEN, around, &NOT_FOR_YOU);
    };
    let by = By::Admin(session.user().clone(), name);
    Origin::current().by(by).scope(next.run(request)).await
}

pub(super) const NOT_FOR_YOU: Message =
    Message { title: Text("error-403"), text: Text("admin-only"), tone: Tone::Plain, action: Action::Home };

pub(super) const OWN: Message =
    Message { title: Text("error-403"), text: Text("admin-own"), tone: Tone::Plain, action: Action::Home };

/// The way to prove it, which leads back to the page; `None` for who has done so lately.
fn proof(page: &Page, session: &Session, back: &str) -> Option<Response> {
    let old = !session.is_recent(RECENT);
    old.then(|| again::ask(page, session, StatusCode::FORBIDDEN, "", back))
}
