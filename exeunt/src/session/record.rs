//! A session as stores keep it.
//!
//! Must never be made outside of login, and must never let `expires_at` pass `ends_at`.

use std::fmt;
use std::net::IpAddr;

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

use super::client::split;
use super::{Client, Data, Lifetime, SessionId, Timestamp, Token, Verifier};

/// Whose session it is: the application's own name for an account, 1 to 128 bytes of text without NUL.
///
/// Use what is never given to anybody else: a row number or UUID, not a user name that can be registered again. Up to
/// 24 bytes cost no allocation.
///
/// ```
/// use exeunt::UserId;
///
/// let user = UserId::from(42);
/// assert_eq!(user.as_str(), "42");
/// assert!(UserId::new("").is_err());
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UserId(CompactString);

/// A text that cannot be a user id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
pub struct UserIdError(WrongUserId);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum WrongUserId {
    #[error("a user id is 1 to 128 bytes long, this one has {0}")]
    Length(usize),
    #[error("a user id has no NUL character: not every store can keep one")]
    Nul,
}

impl UserId {
    /// The most bytes that a user id has.
    pub const LIMIT: usize = 128;

    /// A user id of that text.
    ///
    /// # Errors
    ///
    /// If the text is empty, longer than 128 bytes, or has a NUL, which PostgreSQL keeps in no text.
    pub fn new(text: impl AsRef<str>) -> Result<Self, UserIdError> {
        let text = text.as_ref();
        match text.len() {
            1..=Self::LIMIT if text.contains('\0') => Err(UserIdError(WrongUserId::Nul)),
            1..=Self::LIMIT => Ok(Self(CompactString::new(text))),
            bytes => Err(UserIdError(WrongUserId::Length(bytes))),
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UserId({:?})", self.as_str())
    }
}

impl From<i64> for UserId {
    fn from(number: i64) -> Self {
        Self(compact_str::format_compact!("{number}"))
    }
}

impl TryFrom<&str> for UserId {
    type Error = UserIdError;

    fn try_from(text: &str) -> Result<Self, Self::Error> {
        Self::new(text)
    }
}

impl TryFrom<String> for UserId {
    type Error = UserIdError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::new(text)
    }
}

impl From<UserId> for String {
    fn from(user: UserId) -> Self {
        user.0.into()
    }
}

/// A session as stored.
///
/// Compact on purpose, since a near cache holds many: one allocation for itself and one for its text.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    id: SessionId,
    verifier: Verifier,
    previous: Option<Box<Verifier>>,
    user: UserId,
    created_at: Timestamp,
    authenticated_at: Timestamp,
    seen_at: Timestamp,
    expires_at: Timestamp,
    ends_at: Timestamp,
    revision: u32,
    remembered: bool,
    client_len: u8,
    // The client as stored, then the data's text.
    text: Box<str>,
}

/// A record taken apart, for stores.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is documented at the method of the same name on `Record`")]
pub struct Parts {
    pub id: SessionId,
    pub verifier: Verifier,
    pub previous: Option<Verifier>,
    pub user: UserId,
    pub created_at: Timestamp,
    pub authenticated_at: Timestamp,
    pub seen_at: Timestamp,
    pub expires_at: Timestamp,
    pub ends_at: Timestamp,
    pub remembered: bool,
    pub revision: u32,
    pub client: Client,
    pub data: Data,
}

impl Record {
    /// A session that begins now: the only way to a fresh id.
    pub(crate) fn new(user: UserId, now: Timestamp, lifetime: &Lifetime, login: Login) -> (Token, Self) {
        let token = Token::generate(SessionId::generate(now));
        let ends_at = lifetime.ends_at(now, login.remembered);
        let record = Self::restore(Parts {
            id: token.id(),
            verifier: token.verifier(),
            previous: None,
            user,
            created_at: now,
            authenticated_at: now,
            seen_at: now,
            expires_at: lifetime.expires_at(now, ends_at, login.remembered),
            ends_at,
            remembered: login.remembered,
            revision: 0,
            client: login.client,
            data: login.data,
        });
        (token, record)
    }

    /// Puts a stored record together again, for stores. It makes no token.
    ///
    /// `expires_at` is clamped to `ends_at`.
    #[must_use]
    pub fn restore(parts: Parts) -> Self {
        let client = parts.client.stored();
        Self {
            id: parts.id,
            verifier: parts.verifier,
            previous: parts.previous.map(Box::new),
            user: parts.user,
            created_at: parts.created_at,
            authenticated_at: parts.authenticated_at,
            seen_at: parts.seen_at,
            expires_at: parts.expires_at.min(parts.ends_at),
            ends_at: parts.ends_at,
            revision: parts.revision,
            remembered: parts.remembered,
            client_len: u8::try_from(client.len()).expect("a client has at most 200 bytes"),
            text: [client, parts.data.compact()].concat().into_boxed_str(),
        }
    }

    /// Takes the record apart, for stores.
    #[must_use]
    pub fn into_parts(self) -> Parts {
        Parts {
            client: Client::restore(self.stored_client()),
            data: self.data(),
            id: self.id,
            verifier: self.verifier,
            previous: self.previous.map(|previous| *previous),
            user: self.user,
            created_at: self.created_at,
            authenticated_at: self.authenticated_at,
            seen_at: self.seen_at,
            expires_at: self.expires_at,
            ends_at: self.ends_at,
            remembered: self.remembered,
            revision: self.revision,
        }
    }

    /// Its public name.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// The hash of its token's secret.
    #[must_use]
    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// The hash before the last renewal. Good for logging out, nothing else.
    #[must_use]
    pub fn previous(&self) -> Option<&Verifier> {
        self.previous.as_deref()
    }

    /// Whose it is.
    #[must_use]
    pub fn user(&self) -> &UserId {
        &self.user
    }

    /// When its owner logged in.
    #[must_use]
    pub fn created_at(&self) -> Timestamp {
        self.created_at
    }

    /// When its owner last proved who they are: at login or when the session was last renewed.
    #[must_use]
    pub fn authenticated_at(&self) -> Timestamp {
        self.authenticated_at
    }

    /// When it was last seen, to the accuracy of a touch (a 60th of the idle timeout).
    #[must_use]
    pub fn seen_at(&self) -> Timestamp {
        self.seen_at
    }

    /// When it expires unless it is seen before. Never after [`Record::ends_at`].
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    /// The absolute timeout, fixed at login.
    #[must_use]
    pub fn ends_at(&self) -> Timestamp {
        self.ends_at
    }

    /// Whether its owner asked to be remembered.
    #[must_use]
    pub fn remembered(&self) -> bool {
        self.remembered
    }

    /// How often its data was written.
    #[must_use]
    pub fn revision(&self) -> u32 {
        self.revision
    }

    /// What logged in, as it named itself, such as a browser's `User-Agent`. [`Agent`](super::Agent) reads it for people.
    #[must_use]
    pub fn client(&self) -> &str {
        split(self.stored_client()).0
    }

    /// Where it logged in from, if the application said so.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        split(self.stored_client()).1.and_then(|address| address.parse().ok())
    }

    /// [`Client::stored`] of what logged in, for stores.
    #[must_use]
    pub fn stored_client(&self) -> &str {
        self.text.get(..usize::from(self.client_len)).unwrap_or_default()
    }

    /// The application's own values, as JSON text: `{}` where there are none.
    #[must_use]
    pub fn data_json(&self) -> &str {
        match self.text.get(usize::from(self.client_len)..) {
            None | Some("") => "{}",
            Some(json) => json,
        }
    }

    /// The application's own values.
    #[must_use]
    pub fn data(&self) -> Data {
        Data::from_json(self.data_json()).unwrap_or_default()
    }

    /// Whether it can be loaded at `now`: not yet expired.
    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        now < self.expires_at
    }

    /// Bytes on the heap behind this record, besides the record itself.
    pub(crate) fn heap_bytes(&self) -> usize {
        let user = if self.user.0.is_heap_allocated() { allocated(self.user.0.len()) } else { 0 };
        let previous = self.previous.as_ref().map_or(0, |_| allocated(size_of::<Verifier>()));
        let text = if self.text.is_empty() { 0 } else { allocated(self.text.len()) };
        user + previous + text
    }

    /// The same session, seen at `now`. Times only move forward, and never past the absolute timeout.
    pub(crate) fn touched(&self, now: Timestamp, expires_at: Timestamp) -> Self {
        Self {
            seen_at: self.seen_at.max(now),
            expires_at: self.expires_at.max(expires_at).min(self.ends_at),
            ..self.clone()
        }
    }

    /// The same session under a new secret, its owner having proved who they are at `now`.
    pub(crate) fn renewed(&self, new: Verifier, now: Timestamp, expires_at: Timestamp) -> Self {
        Self {
            verifier: new,
            previous: Some(Box::new(self.verifier)),
            authenticated_at: self.authenticated_at.max(now),
            ..self.touched(now, expires_at)
        }
    }

    /// The same session with other data, one revision on.
    pub(crate) fn saved(&self, data: &Data) -> Self {
        let text = [self.stored_client(), data.compact()].concat().into_boxed_str();
        Self { text, revision: self.revision.wrapping_add(1), ..self.clone() }
    }
}

/// What an allocator takes for `bytes`: a header of 8, and steps of 16.
pub(crate) fn allocated(bytes: usize) -> usize {
    (bytes + 8).next_multiple_of(16).max(32)
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("id", &self.id)
            .field("user", &self.user)
            .field("seen_at", &self.seen_at)
            .field("expires_at", &self.expires_at)
            .field("revision", &self.revision)
            .finish_non_exhaustive()
    }
}

/// What a login gives its session besides the user and the time.
#[derive(Debug, Default)]
pub(crate) struct Login {
    pub(crate) client: Client,
    pub(crate) remembered: bool,
    pub(crate) data: Data,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn record() -> Record {
        let mut data = Data::default();
        data.set("a", &1).unwrap();
        let login = Login { client: Client::new("curl/8"), remembered: false, data };
        Record::new(UserId::from(7), Timestamp::from_secs(1_000), &Lifetime::default(), login).1
    }

    #[test]
    fn a_record_survives_being_taken_apart() {
        let record = record();
        assert_eq!((record.client(), record.data_json()), ("curl/8", r#"{"a":1}"#));
        let renewed = record.renewed(*record.verifier(), Timestamp::from_secs(1_001), record.expires_at());
        for whole in [record, renewed] {
            assert_eq!(Record::restore(whole.clone().into_parts()), whole);
        }
    }

    #[test]
    fn nothing_passes_the_absolute_timeout() {
        // R14
        let record = record();
        let late = record.ends_at().plus(Duration::from_secs(1));
        assert_eq!(record.touched(late, late).expires_at(), record.ends_at());
        assert_eq!(record.renewed(*record.verifier(), late, late).expires_at(), record.ends_at());
        let parts = Parts { expires_at: late, ..record.clone().into_parts() };
        assert_eq!(Record::restore(parts).expires_at(), record.ends_at());
        assert!(!record.is_live(record.expires_at()), "the instant of expiry is already too late");
    }

    #[test]
    fn times_never_move_back() {
        let record = record();
        let early = Timestamp::from_secs(1);
        assert_eq!(record.touched(early, early), record);
    }

    #[test]
    fn a_user_id_is_neither_empty_nor_endless() {
        assert_eq!(
            UserId::new("").unwrap_err().to_string(),
            "a user id is 1 to 128 bytes long, this one has 0"
        );
        assert!(UserId::new("x".repeat(128)).is_ok());
        assert!(UserId::new("x".repeat(129)).is_err());
        assert!(serde_json::from_str::<UserId>("\"\"").is_err());
        assert_eq!(
            UserId::new("a\0b").unwrap_err().to_string(),
            "a user id has no NUL character: not every store can keep one"
        );
    }

    #[test]
    fn a_user_id_is_its_text() {
        let user = UserId::new("anna").unwrap();
        assert_eq!((user.as_str(), user.to_string()), ("anna", "anna".to_owned()));
        assert_eq!(
            (format!("{user:?}"), format!("{user:>6}")),
            (r#"UserId("anna")"#.into(), "  anna".into())
        );
        assert_eq!(String::from(user), "anna");
    }

    #[test]
    fn a_record_tells_how_it_began_and_when_its_owner_last_proved_who_they_are() {
        let (now, later) = (Timestamp::from_secs(1_000), Timestamp::from_secs(1_060));
        let client = Client::new("curl/8").at([192, 0, 2, 1].into());
        for remembered in [false, true] {
            let login = Login { client: client.clone(), remembered, data: Data::default() };
            let (token, record) = Record::new(UserId::from(7), now, &Lifetime::default(), login);
            assert_eq!((record.id(), record.verifier()), (token.id(), &token.verifier()));
            assert_eq!((record.user(), record.remembered()), (&UserId::from(7), remembered));
            assert_eq!((record.created_at(), record.authenticated_at(), record.seen_at()), (now, now, now));
            assert_eq!((record.client(), record.address()), ("curl/8", Some([192, 0, 2, 1].into())));
            let renewed = record.renewed(*record.verifier(), later, record.ends_at());
            assert_eq!((renewed.created_at(), renewed.authenticated_at()), (now, later));
        }
    }

    #[test]
    fn what_lies_behind_a_record_is_counted_part_by_part() {
        // A header of 8 bytes each, in steps of 16: 32 for the 13 bytes of text, 48 for a verifier, 48 for a long user id.
        let short = record();
        let renewed = short.renewed(*short.verifier(), short.seen_at(), short.expires_at());
        let long = Parts { user: UserId::new("x".repeat(40)).unwrap(), ..renewed.clone().into_parts() };
        let none = Parts { client: Client::default(), data: Data::default(), ..short.clone().into_parts() };
        let bytes = [Record::restore(none), short, renewed, Record::restore(long)].map(|it| it.heap_bytes());
        assert_eq!(bytes, [0, 32, 32 + 48, 32 + 48 + 48]);
    }

    #[test]
    fn a_record_does_not_show_its_data_or_client() {
        let record = record();
        let shown = format!("{record:?}");
        assert!(shown.starts_with("Record {") && shown.contains(&record.id().to_string()), "{shown}");
        assert!(!shown.contains("curl") && !shown.contains("\"a\""), "{shown}");
    }
}
