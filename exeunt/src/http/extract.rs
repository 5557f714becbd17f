//! What handlers take: whoever sent this request, or the session that proves a login.
//!
//! Must never say "not logged in" when the store did not answer.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{HeaderValue, USER_AGENT};
use http::request::Parts;
use serde::Deserialize;

use super::origin::ClientAddress;
use super::problem;
use super::visit::{RemoveCookie, Touch, Visit, may_remove, to_the_end};
use crate::auth::{By, Error, ErrorKind, LoginOptions, Origin, Users};
use crate::session::{Client, Data, DataError, Record, SessionId, UserId};
use crate::store::Causes;

/// Whoever sent this request, logged in or not.
///
/// As an extractor it never fails under a `SessionLayer`.
///
/// ```
/// use exeunt::{Error, Logout, Visitor};
///
/// async fn home(visitor: Visitor) -> Result<String, Error> {
///     Ok(match visitor.session().await? {
///         Some(session) => format!("Hello, {}", session.name()),
///         None => "Hello, whoever you are".to_owned(),
///     })
/// }
///
/// async fn logout(visitor: Visitor) -> Logout {
///     visitor.logout().await
/// }
/// # let _: axum::Router = axum::Router::new()
/// #     .route("/", axum::routing::get(home)).route("/logout", axum::routing::delete(logout));
/// ```
#[derive(Debug)]
pub struct Visitor {
    visit: Arc<Visit>,
    agent: Option<HeaderValue>,
    address: Option<IpAddr>,
    remember: bool,
}

impl Visitor {
    /// The visitor's session, if there is one. Asks the store at most once a request.
    ///
    /// # Errors
    ///
    /// If the store did not answer: then it is not known.
    pub async fn session(&self) -> Result<Option<Session>, Error> {
        let record = self.visit.session(Touch::Now).await?;
        Ok(record.map(|record| Session::new(&self.visit, record)))
    }

    /// Whether the next login is to outlive the browser's window (R55).
    #[must_use]
    pub fn remember(self, remember: bool) -> Self {
        Self { remember, ..self }
    }

    /// Logs the visitor in. `None`: the credentials are wrong, in whatever way.
    ///
    /// A session that the request came with ends, and nothing of it carries over (R12). The cookie goes out whatever
    /// the handler then answers.
    ///
    /// # Errors
    ///
    /// If the store or the accounts did not answer. Nobody is logged in then.
    pub async fn login<U: Users>(
        &self,
        users: &U,
        credentials: U::Credentials,
    ) -> Result<Option<Session>, Error> {
        self.visit.asked();
        let agent = self.agent.as_ref().map(|agent| String::from_utf8_lossy(agent.as_bytes()));
        let client = Client::new(&agent.unwrap_or_default());
        let replaces = self.visit.token();
        let options = LoginOptions {
            client: self.address.map_or(client.clone(), |address| client.at(address)),
            remember: self.remember,
            replaces: replaces.as_deref(),
        };
        match self.visit.sessions().login(users, credentials, options).await {
            Ok(None) => Ok(None),
            Ok(Some(login)) => Ok(Some(Session::new(&self.visit, self.visit.began(login)))),
            Err(error) => {
                // Whether the session it came with still lives is not known any more.
                self.visit.forget();
                Err(error)
            }
        }
    }

    /// Logs the visitor out, and tells which of the three cases it was.
    ///
    /// Goes on to its end even if the client is gone meanwhile. Without a cookie, or with one that is no token, the
    /// store is not asked.
    pub async fn logout(&self) -> Logout {
        self.visit.asked();
        if self.visit.token().is_none() {
            self.visit.ended();
            return Logout::NoSession;
        }
        let visit = Arc::clone(&self.visit);
        let ended = to_the_end(async move {
            match visit.token() {
                Some(token) => visit.sessions().logout(&token).await,
                None => Ok(false),
            }
        });
        match ended.await {
            Ok(ended) => {
                self.visit.ended();
                if ended { Logout::Done } else { Logout::NoSession }
            }
            Err(error) => {
                tracing::error!(
                    event = "logout_failed",
                    error = %Causes(&error),
                    "a session could not be ended"
                );
                self.visit.forget();
                Logout::Failed(error)
            }
        }
    }
}

/// How a logout went. As a response it is the logout contract.
///
/// 200 `Logout successful`, 200 with an empty body, or 400 `Unable to log out`.
#[derive(Debug)]
#[must_use = "a logout can fail, and then the person has to hear of it"]
pub enum Logout {
    /// The session is over, for good, on every node. The cookie is removed.
    Done,
    /// There was none. A dead cookie is removed.
    NoSession,
    /// The store did not answer. The session may live on, so the cookie stays: trying again can still end it.
    Failed(Error),
}

impl IntoResponse for Logout {
    fn into_response(self) -> Response {
        match self {
            Self::Done => (StatusCode::OK, "Logout successful").into_response(),
            Self::NoSession => StatusCode::OK.into_response(),
            Self::Failed(_) => (StatusCode::BAD_REQUEST, "Unable to log out").into_response(),
        }
    }
}

/// A live session: to have one is the proof of login.
///
/// As an extractor it answers 401 for a visitor, and 503 if the store does not answer. `Option<Session>` lets visitors
/// in.
#[derive(Debug)]
pub struct Session {
    visit: Arc<Visit>,
    record: Arc<Record>,
    data: OnceLock<Data>,
    name: OnceLock<String>,
}

impl Session {
    pub(super) fn new(visit: &Arc<Visit>, record: Arc<Record>) -> Self {
        Self { visit: Arc::clone(visit), record, data: OnceLock::new(), name: OnceLock::new() }
    }

    pub(super) fn visit(&self) -> &Arc<Visit> {
        &self.visit
    }

    /// Its public name.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.record.id()
    }

    /// Whose it is.
    #[must_use]
    pub fn user(&self) -> &UserId {
        self.record.user()
    }

    /// The name to show: `"name"` in the data, where login put it, or else the user id.
    #[must_use]
    pub fn name(&self) -> &str {
        #[derive(Deserialize)]
        struct Named<'a> {
            #[serde(borrow)]
            name: Cow<'a, str>,
        }
        match serde_json::from_str::<Named<'_>>(self.record.data_json()) {
            Ok(Named { name: Cow::Borrowed(name) }) => name,
            Ok(Named { name: Cow::Owned(name) }) => self.name.get_or_init(|| name),
            Err(_) => self.record.user().as_str(),
        }
    }

    /// All there is to know about it.
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// The application's own values in it, as they were when it was loaded.
    #[must_use]
    pub fn data(&self) -> &Data {
        self.data.get_or_init(|| self.record.data())
    }

    /// Changes its data, in the store, before this returns.
    ///
    /// `change` runs again, on what is stored then, if another request wrote in between.
    ///
    /// # Errors
    ///
    /// The session ended meanwhile (401), others were faster five times (409), the data is too large (413), or the
    /// store did not answer (503).
    pub async fn update(
        &mut self,
        change: impl FnMut(&mut Data) -> Result<(), DataError>,
    ) -> Result<(), Error> {
        match self.visit.sessions().update(&self.record, change).await {
            Ok(record) => {
                self.visit.changed(Some(Arc::clone(&record)));
                *self = Self::new(&self.visit, record);
                Ok(())
            }
            Err(error) => {
                if error.kind() == ErrorKind::Ended {
                    self.visit.changed(None);
                }
                Err(error)
            }
        }
    }

    /// All live sessions of its user, last seen first (R17).
    ///
    /// # Errors
    ///
    /// If the store did not answer.
    pub async fn list(&self) -> Result<Vec<Record>, Error> {
        self.visit.sessions().list(self.user()).await
    }

    /// Ends it and removes the cookie. That it ended already is no error.
    ///
    /// # Errors
    ///
    /// If the store did not answer: the session may live on, and the cookie stays.
    pub async fn logout(self) -> Result<(), Error> {
        let (visit, record) = (Arc::clone(&self.visit), Arc::clone(&self.record));
        to_the_end(async move { visit.sessions().logout_of(&record).await }).await?;
        self.visit.ended();
        Ok(())
    }

    /// Ends every session of its user, this one too, removes the cookie, and tells how many it were (R16).
    ///
    /// # Errors
    ///
    /// If the store did not answer: some may live on, and the cookie stays.
    pub async fn logout_everywhere(self) -> Result<usize, Error> {
        let (visit, user) = (Arc::clone(&self.visit), self.user().clone());
        let ended = by_owner(async move { visit.sessions().logout_all(&user, None).await }).await?;
        self.visit.ended();
        Ok(ended.len())
    }

    /// Ends every other session of its user, and tells how many it were (R16).
    ///
    /// # Errors
    ///
    /// If the store did not answer: some may live on.
    pub async fn logout_others(&self) -> Result<usize, Error> {
        let (visit, user, this) = (Arc::clone(&self.visit), self.user().clone(), self.id());
        let ended = by_owner(async move { visit.sessions().logout_all(&user, Some(&this)).await }).await?;
        Ok(ended.len())
    }

    /// Ends one session of its user by its public id (R17). `false`: the user has no such live session.
    ///
    /// Where it is this very session, the cookie is removed.
    ///
    /// # Errors
    ///
    /// If the store did not answer.
    pub async fn end(self, session: SessionId) -> Result<bool, Error> {
        if session == self.id() {
            return self.logout().await.map(|()| true);
        }
        let (visit, user) = (Arc::clone(&self.visit), self.user().clone());
        by_owner(async move { visit.sessions().end(&user, &session).await }).await
    }
}

/// Runs a step to its end, as done by the person whose session the handler has.
async fn by_owner<T: Send + 'static>(
    step: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    Origin::current().by(By::Owner).scope(to_the_end(step)).await
}

/// Why a handler that takes a [`Session`] was not called.
#[derive(Debug)]
pub struct SessionRejection(Why);

#[derive(Debug)]
enum Why {
    NotLoggedIn { remove_cookie: bool },
    Failed(Error),
    NoLayer,
}

impl SessionRejection {
    pub(super) fn no_layer() -> Self {
        Self(Why::NoLayer)
    }

    pub(super) fn failed(error: Error) -> Self {
        Self(Why::Failed(error))
    }

    pub(super) fn not_logged_in(visit: &Visit, headers: &http::HeaderMap) -> Self {
        Self(Why::NotLoggedIn { remove_cookie: visit.brought_a_cookie() && may_remove(headers) })
    }

    /// The same, but as a redirect where it means "not logged in".
    pub(super) fn into_response_or(self, redirect: impl FnOnce() -> Option<Response>) -> Response {
        match self.0 {
            Why::Failed(error) => error.into_response(),
            Why::NoLayer => problem::no_layer(),
            Why::NotLoggedIn { remove_cookie } => {
                let mut response = redirect().unwrap_or_else(problem::not_logged_in);
                if remove_cookie {
                    response.extensions_mut().insert(RemoveCookie);
                }
                response
            }
        }
    }
}

impl IntoResponse for SessionRejection {
    fn into_response(self) -> Response {
        self.into_response_or(|| None)
    }
}

fn visit_of(parts: &Parts) -> Result<Arc<Visit>, SessionRejection> {
    Visit::of(&parts.headers, &parts.extensions).ok_or_else(SessionRejection::no_layer)
}

impl<S: Sync> FromRequestParts<S> for Visitor {
    type Rejection = SessionRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let agent = parts.headers.get(USER_AGENT).cloned();
        let address = parts.extensions.get().map(|&ClientAddress(address)| address);
        Ok(Self { visit: visit_of(parts)?, agent, address, remember: false })
    }
}

impl<S: Sync> FromRequestParts<S> for Session {
    type Rejection = SessionRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let visit = visit_of(parts)?;
        match visit.session(Touch::Now).await {
            Ok(Some(record)) => Ok(Self::new(&visit, record)),
            Ok(None) => Err(SessionRejection::not_logged_in(&visit, &parts.headers)),
            Err(error) => Err(SessionRejection::failed(error)),
        }
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for Session {
    type Rejection = SessionRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Self::Rejection> {
        let visit = visit_of(parts)?;
        let found = visit.session(Touch::Now).await.map_err(SessionRejection::failed)?;
        Ok(found.map(|record| Self::new(&visit, record)))
    }
}
