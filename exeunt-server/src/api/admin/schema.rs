//! What administration takes, as the document says it. It is read member by member (`body`), to name what is wrong with each.
//!
//! Must never be what decides: a test holds it to what the routes take.

#![expect(dead_code, reason = "they describe what `body` reads")]

use utoipa::ToSchema;

/// An account to add.
#[derive(ToSchema)]
pub(super) struct NewAccount {
    /// At most 64 characters of any script.
    name: String,
    /// Its owner had better change it after the first login.
    #[schema(format = Password)]
    password: String,
    /// Whether it may administer others. Default: no.
    #[schema(nullable = false)]
    admin: Option<bool>,
}

/// What to change; at least one. What is left out stays.
#[derive(ToSchema)]
pub(super) struct AccountChanges {
    /// Whether it may administer others.
    #[schema(nullable = false)]
    admin: Option<bool>,
    /// Whether logging in is refused.
    #[schema(nullable = false)]
    disabled: Option<bool>,
    /// The password from now on.
    #[schema(format = Password, nullable = false)]
    password: Option<String>,
}
