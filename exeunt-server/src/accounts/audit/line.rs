//! An event as the table has it, and how to ask for some.
//!
//! Must never have a secret in it: it goes over the control socket and to administrators.

use std::fmt;

use exeunt::{SessionId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::accounts::rfc3339;

/// Something that happened, as the audit table has it. Absent fields are not known, or say nothing of this event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct EventLine {
    /// Rises with each; what was seen up to one id goes on after it.
    pub id: i64,
    /// When; RFC 3339, UTC, with microseconds in JSON.
    #[serde(with = "rfc3339::micros")]
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// What, as one word, such as `session_ended`.
    pub event: String,
    /// The account's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The account's number, as sessions name it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Which session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub session: Option<SessionId>,
    /// Why, as one word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Who did it: `owner`, `administrator`, `operator` or `system`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The administrator's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_user: Option<String>,
    /// The administrator's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_name: Option<String>,
    /// Where the request came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// What sent it, such as a browser's `User-Agent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// Its id in the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// How many events are missing at this place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<i64>,
}

/// One line of text. What is not ours is quoted, with anything that could forge a line escaped.
impl fmt::Display for EventLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", rfc3339::in_micros(self.at), Plain(&self.event))?;
        let quoted = |text: &Option<String>| text.as_ref().map(|text| format!("{text:?}"));
        let plain = |text: &Option<String>| text.as_ref().map(|text| Plain(text).to_string());
        let fields = [
            ("account", quoted(&self.account)),
            ("user", plain(&self.user)),
            ("session", self.session.map(|id| id.to_string())),
            ("reason", plain(&self.reason)),
            ("by", plain(&self.by)),
            ("by_name", quoted(&self.by_name)),
            ("by_user", plain(&self.by_user)),
            ("address", plain(&self.address)),
            ("client", quoted(&self.client)),
            ("request", plain(&self.request)),
            ("lost", self.lost.map(|lost| lost.to_string())),
        ];
        for (name, value) in fields {
            if let Some(value) = value {
                write!(f, " {name}={value}")?;
            }
        }
        Ok(())
    }
}

/// A word as it is, anything else quoted.
struct Plain<'a>(&'a str);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.:/".contains(&byte);
        match !self.0.is_empty() && self.0.bytes().all(plain) {
            true => f.write_str(self.0),
            false => write!(f, "{:?}", self.0),
        }
    }
}

/// Which events to give.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventQuery {
    /// Those of one account alone.
    pub whose: Option<Whose>,
    /// Those from then on.
    pub since: Option<Timestamp>,
    /// The first ones after this id, oldest first. Without it the last ones, newest first.
    pub after: Option<i64>,
    /// Those before this id.
    pub before: Option<i64>,
    /// At most so many.
    pub limit: usize,
}

/// Of which account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Of the one with this number, under whatever name.
    User(String),
    /// Of one that had this name.
    Named(String),
}

impl EventQuery {
    /// The statement, which both databases understand, but for the names of the table and of the column of the user. Its
    /// parameters are `$1` to `$5` of [`EventQuery::text`], `since`, `after`, `before` and `limit`.
    pub(in crate::accounts) fn sql(&self, table: &str, user: &str, session: &str) -> String {
        let whose = match self.whose {
            None => "$1 IS NULL".to_owned(),
            Some(Whose::User(_)) => format!("{user} = $1"),
            Some(Whose::Named(_)) => "name = $1".to_owned(),
        };
        let since = match self.since {
            None => "$2 = 0".to_owned(),
            // Ids rise with time, but for clocks that differ and what was written late: by a minute at most.
            Some(_) => format!(
                "at >= $2 AND id >= COALESCE(
                    (SELECT id FROM {table} WHERE at >= $2 - 60000000 ORDER BY at, id LIMIT 1), 0)"
            ),
        };
        let order = if self.after.is_some() { "ASC" } else { "DESC" };
        format!(
            "SELECT id, at, kind, name, {user}, {session}, reason, by_kind, by_user, by_name, address, client, request, lost
             FROM {table} WHERE {whose} AND {since} AND id > $3 AND id < $4 ORDER BY id {order} LIMIT $5"
        )
    }

    pub(in crate::accounts) fn text(&self) -> Option<&str> {
        match &self.whose {
            Some(Whose::User(text) | Whose::Named(text)) => Some(text),
            None => None,
        }
    }

    /// `since`, `after`, `before` and `limit`.
    pub(in crate::accounts) fn numbers(&self) -> [i64; 4] {
        let since = self.since.map_or(0, Timestamp::as_micros);
        let limit = i64::try_from(self.limit).unwrap_or(i64::MAX);
        [since, self.after.unwrap_or(0), self.before.unwrap_or(i64::MAX), limit]
    }
}
