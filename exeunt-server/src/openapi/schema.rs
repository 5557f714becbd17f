//! What the library's routes read and write, and what all refusals look like.

#![expect(dead_code, reason = "they describe what the library reads and writes itself")]

use utoipa::ToSchema;

/// What went wrong (RFC 9457).
#[derive(ToSchema)]
pub(super) struct Problem {
    /// What a program can go by where the status does not say enough, such as `urn:exeunt:reauthenticate`.
    r#type: Option<String>,
    /// What went wrong, always the same words.
    title: String,
    /// The status once more.
    status: u16,
    /// What can be done about it.
    detail: Option<String>,
    /// Why a password may not be one, as one word that stays the same, such as `too_short` or `breached`.
    reason: Option<String>,
    /// What is wrong with which member of the body, where that is known of each.
    errors: Option<Vec<Fault>>,
}

/// What is wrong with a member of the body.
#[derive(ToSchema)]
pub(super) struct Fault {
    /// Which (RFC 6901), such as `#/name`; `#` is the whole.
    pointer: String,
    /// What is wrong with it.
    detail: String,
}

/// Who wants to log in.
#[derive(ToSchema)]
pub(super) struct Login {
    /// The account's name, in any case.
    username: String,
    #[schema(format = Password)]
    password: String,
    /// Whether the session is to outlive the browser's window. Default: no.
    remember: Option<bool>,
}

/// The name and password of the session's own account.
#[derive(ToSchema)]
pub(super) struct Credentials {
    /// The account's name, in any case.
    username: String,
    #[schema(format = Password)]
    password: String,
}

/// Who is logged in now.
#[derive(ToSchema)]
pub(super) struct LoggedIn {
    /// The account's name.
    user: String,
}

/// A live session.
#[derive(ToSchema)]
pub(super) struct Session {
    /// Its public name, 11 characters. Nobody can log in with it.
    id: String,
    /// When it logged in.
    #[schema(format = DateTime)]
    created_at: String,
    /// When it was last seen, to a 60th of the idle timeout.
    #[schema(format = DateTime)]
    seen_at: String,
    /// When it ends if it is not seen again.
    #[schema(format = DateTime)]
    expires_at: String,
    /// What logged in, as a person would put it.
    #[schema(example = "Firefox on Windows")]
    client: String,
    /// What logged in, as it named itself: at most 200 bytes together with the address.
    user_agent: String,
    /// Where it logged in from; null where that is not known.
    #[schema(required)]
    address: Option<String>,
    /// Whether its owner asked to be remembered.
    remembered: bool,
    /// Whether it is the one that asks.
    current: bool,
}
