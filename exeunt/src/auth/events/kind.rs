//! The kinds of what can happen, and what each is called.
//!
//! Must never rename one: logs, audit tables and alerts go by these words.

/// What sort of thing happened. More may be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EventKind {
    /// Somebody logged in.
    LoggedIn,
    /// Credentials were refused.
    LoginRefused,
    /// Somebody logged out of this one session.
    LoggedOut,
    /// A session ended in another way than by its own logout; the reason says how.
    SessionEnded,
    /// A session got a new token.
    SessionRenewed,
    /// A token came that opens no session (any more): late, replayed or guessed. Each time, and also for ids that never were.
    TokenRefused,
    /// The token of a session came that is known to have ended. Once a session, by whoever keeps what ended.
    DeadToken,
    /// A request with an unsafe method came from another site.
    CrossSiteRefused,
    /// Too many tries.
    Throttled,
    /// A person changed their own password, knowing the one before.
    PasswordChanged,
    /// An administrator or operator gave an account another password.
    PasswordSet,
    /// A person set a password by a link that was sent to them.
    PasswordReset,
    /// Somebody asked for such a link.
    ResetRequested,
    /// An account came to be.
    AccountAdded,
    /// An account may log in again.
    AccountEnabled,
    /// An account may not log in any more.
    AccountDisabled,
    /// Something else about an account changed; the reason says what.
    AccountChanged,
    /// An account is gone.
    AccountRemoved,
    /// A link was made by which the first administrator can be added.
    SetupLinkMade,
}

impl EventKind {
    /// All of them.
    pub const ALL: [Self; 19] = [
        Self::LoggedIn,
        Self::LoginRefused,
        Self::LoggedOut,
        Self::SessionEnded,
        Self::SessionRenewed,
        Self::TokenRefused,
        Self::DeadToken,
        Self::CrossSiteRefused,
        Self::Throttled,
        Self::PasswordChanged,
        Self::PasswordSet,
        Self::PasswordReset,
        Self::ResetRequested,
        Self::AccountAdded,
        Self::AccountEnabled,
        Self::AccountDisabled,
        Self::AccountChanged,
        Self::AccountRemoved,
        Self::SetupLinkMade,
    ];

    /// One word for logs and programs, such as `login`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.words().0
    }

    /// A few words for people.
    #[must_use]
    pub fn in_words(self) -> &'static str {
        self.words().1
    }

    /// Whether it is somebody's deed, so that the origin of the request says whose. Who was refused is not known.
    pub(super) fn is_a_deed(self) -> bool {
        !matches!(
            self,
            Self::LoginRefused
                | Self::TokenRefused
                | Self::DeadToken
                | Self::CrossSiteRefused
                | Self::Throttled
                | Self::ResetRequested
        )
    }

    /// Whether whoever runs the server should look.
    pub(super) fn is_a_warning(self) -> bool {
        matches!(self, Self::CrossSiteRefused | Self::Throttled | Self::DeadToken)
    }

    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::LoggedIn => ("login", "logged in"),
            Self::LoginRefused => ("login_refused", "login refused"),
            Self::LoggedOut => ("logout", "logged out"),
            Self::SessionEnded => ("session_ended", "session ended"),
            Self::SessionRenewed => ("session_renewed", "session renewed"),
            Self::TokenRefused => ("session_refused", "a token that opens no session"),
            Self::DeadToken => ("dead_token", "the token of a session that has ended"),
            Self::CrossSiteRefused => ("cross_site_refused", "a request from elsewhere was refused"),
            Self::Throttled => ("throttled", "too many tries"),
            Self::PasswordChanged => ("password_changed", "password changed by its owner"),
            Self::PasswordSet => ("password_set", "password set by an administrator"),
            Self::PasswordReset => ("password_reset", "password set by a link that was sent"),
            Self::ResetRequested => ("reset_requested", "a link to set a password was asked for"),
            Self::AccountAdded => ("account_added", "account added"),
            Self::AccountEnabled => ("account_enabled", "account enabled"),
            Self::AccountDisabled => ("account_disabled", "account disabled"),
            Self::AccountChanged => ("account_changed", "account changed"),
            Self::AccountRemoved => ("account_removed", "account removed"),
            Self::SetupLinkMade => ("setup_link_made", "set-up link made; the one before is void"),
        }
    }
}
