//! What happened on the server, newest first, a page at a time.
//!
//! Must never change anything, nor read more events than a page has.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use exeunt::{Session, Timestamp, UserId};
use serde::{Deserialize, Serialize};

use super::AT_ONCE;
use crate::accounts::{AccountError, Accounts, EventLine, EventQuery, Whose};
use crate::error;
use crate::html::{Around, Page, Text};
use crate::pages::check::EVIL;
use crate::pages::events::Happened;
use crate::site::AppState;

const PATH: &str = "/admin/events";

#[derive(Debug, Serialize)]
pub(in crate::pages) struct EventsPage {
    events: Vec<Happened>,
    /// Whose alone, by a name or else by a number.
    of: Option<String>,
    /// The page of that account, if there still is one.
    account: Option<String>,
    /// Where the newest of them are, if not here.
    newest: Option<String>,
    newer: Option<String>,
    older: Option<String>,
    /// Why there are none.
    empty: Text,
}

impl EventsPage {
    pub(in crate::pages) fn samples(now: Timestamp) -> Vec<Self> {
        let (some, link) = (|| Some(EVIL.to_owned()), || Some("/admin/events?name=%3C&before=7".to_owned()));
        let none = |empty, of: Option<String>| Self {
            events: Vec::new(),
            of,
            account: None,
            newest: None,
            newer: None,
            older: None,
            empty,
        };
        let full = Self {
            events: Happened::samples(now),
            account: link(),
            newest: link(),
            newer: link(),
            older: link(),
            ..none(NOTHING, some())
        };
        vec![none(NOTHING, None), none(NOTHING_OF, some()), none(NOTHING_OLDER, some()), full]
    }
}

const NOTHING: Text = Text("admin-events-none");
const NOTHING_OF: Text = Text("admin-events-none-of");
const NOTHING_OLDER: Text = Text("admin-events-none-older");

/// Texts, so that a field that was left empty is as good as one that is not there.
#[derive(Debug, Deserialize)]
pub(crate) struct EventsQuery {
    /// The number of an account; also of one that is gone.
    #[serde(default)]
    account: String,
    /// The name of one.
    #[serde(default)]
    name: String,
    /// Those before this id.
    #[serde(default)]
    before: String,
    /// Those after this id.
    #[serde(default)]
    after: String,
}

/// `GET /admin/events?account=7&before=1000`
pub(crate) async fn events(
    State(state): State<AppState>,
    page: Page,
    session: Session,
    query: Result<Query<EventsQuery>, QueryRejection>,
) -> Response {
    // Never all events for a question about some that was not understood.
    let wanted = query.ok().and_then(|Query(query)| Wanted::read(query));
    let Some(wanted) = wanted else { return error::refused(StatusCode::BAD_REQUEST) };
    let now = state.layer.sessions().now();
    let shown = match look_up(&state.accounts, wanted, now).await {
        Ok(shown) => shown,
        Err(error) => return error::of_account(error),
    };
    let around = Around { who: Some(session.name()), admin: true, form: None, here: PATH };
    page.show(StatusCode::OK, "admin-events.html", around, &shown)
}

struct Wanted {
    of: Of,
    place: Place,
}

enum Of {
    Everybody,
    Account(UserId),
    Name(String),
}

enum Place {
    Newest,
    Before(i64),
    After(i64),
}

impl Wanted {
    fn read(EventsQuery { account, name, before, after }: EventsQuery) -> Option<Self> {
        let of = match (account.as_str(), name.trim()) {
            ("", "") => Of::Everybody,
            ("", name) => Of::Name(name.to_owned()),
            (account, _) => Of::Account(UserId::new(account).ok()?),
        };
        let place = match (before.as_str(), after.as_str()) {
            ("", "") => Place::Newest,
            (before, "") => Place::Before(before.parse().ok()?),
            (_, after) => Place::After(after.parse().ok()?),
        };
        Some(Self { of, place })
    }
}

async fn look_up(accounts: &Accounts, wanted: Wanted, now: Timestamp) -> Result<EventsPage, AccountError> {
    let Wanted { of, place } = wanted;
    let account = match &of {
        Of::Everybody => None,
        Of::Account(user) => accounts.find_user(user).await?,
        Of::Name(name) => accounts.find(name).await?,
    };
    // Under its number an account is found whatever it was called, and one that is gone by its number or its name.
    let (whose, key, value) = match (&account, of) {
        (_, Of::Everybody) => (None, "", String::new()),
        (Some(account), _) => (Some(Whose::User(account.id.to_string())), "account", account.id.to_string()),
        (None, Of::Account(user)) => {
            (Some(Whose::User(user.as_str().to_owned())), "account", user.as_str().to_owned())
        }
        (None, Of::Name(name)) => (Some(Whose::Named(name.clone())), "name", name),
    };
    let empty = match (&place, &whose) {
        (Place::Before(_), _) => NOTHING_OLDER,
        (_, Some(_)) => NOTHING_OF,
        (_, None) => NOTHING,
    };
    let Found { lines, newest, newer, older } = find(accounts, whose.as_ref(), place).await?;
    let named = lines.first().and_then(|line| line.account.clone());
    let of = match (&whose, &account) {
        (None, _) => None,
        (_, Some(account)) => Some(account.name.clone()),
        (_, None) => Some(named.unwrap_or_else(|| value.clone())),
    };
    let link = |cursor: Option<(&str, i64)>| {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(Some((key, &value)).filter(|_| whose.is_some()));
        query.extend_pairs(cursor.map(|(name, id)| (name, id.to_string())));
        match query.finish() {
            query if query.is_empty() => PATH.to_owned(),
            query => format!("{PATH}?{query}"),
        }
    };
    let shows_account = !matches!(whose, Some(Whose::User(_)));
    let shown = |line: &EventLine| match Happened::to_administrators(line, now) {
        shown if shows_account => shown,
        shown => shown.without_account(),
    };
    Ok(EventsPage {
        events: lines.iter().map(shown).collect(),
        of,
        account: account.map(|account| format!("/admin/account?id={}", account.id)),
        newest: (!newest).then(|| link(None)),
        newer: newer.map(|id| link(Some(("after", id)))),
        older: older.map(|id| link(Some(("before", id)))),
        empty,
    })
}

/// Some events, newest first, and the ids that the pages beside them begin at.
struct Found {
    lines: Vec<EventLine>,
    /// Whether there are none newer.
    newest: bool,
    newer: Option<i64>,
    older: Option<i64>,
}

async fn find(accounts: &Accounts, whose: Option<&Whose>, place: Place) -> Result<Found, AccountError> {
    // No name has one, and PostgreSQL would not take it.
    if matches!(whose, Some(Whose::Named(name)) if name.contains(char::is_control)) {
        return Ok(Found { lines: Vec::new(), newest: true, newer: None, older: None });
    }
    // One more than are shown: that one says whether there are others.
    let query =
        |after, before| EventQuery { whose: whose.cloned(), since: None, after, before, limit: AT_ONCE + 1 };
    if let Place::After(id) = place {
        let mut lines = accounts.events(&query(Some(id), None)).await?;
        if lines.len() > AT_ONCE {
            lines.truncate(AT_ONCE);
            lines.reverse();
            let (newer, older) = (lines.first().map(|line| line.id), lines.last().map(|line| line.id));
            return Ok(Found { lines, newest: false, newer, older });
        }
        // They all are on the page of the newest.
    }
    let before = if let Place::Before(id) = place { Some(id) } else { None };
    let mut lines = accounts.events(&query(None, before)).await?;
    let more = lines.len() > AT_ONCE;
    lines.truncate(AT_ONCE);
    let newer = lines.first().filter(|_| before.is_some()).map(|line| line.id);
    let older = lines.last().filter(|_| more).map(|line| line.id);
    Ok(Found { lines, newest: before.is_none(), newer, older })
}
