//! Live sessions for an application's own tests, without going through a login form.
//!
//! Must never be part of a running service: it logs in whoever it is told to.

use http::Request;
use http::header::COOKIE;

use crate::auth::{Error, LoginOptions, Users, UsersError, Verified};
use crate::http::SessionLayer;
use crate::session::UserId;

/// Gives a request the cookie of a new live session of `user`.
///
/// ```
/// use axum::{Router, body::Body, http::Request, routing::get};
/// use exeunt::{MemoryStore, Session, SessionLayer, Sessions, UserId};
/// use tower::ServiceExt as _;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let layer = SessionLayer::new(Sessions::new(MemoryStore::new()));
/// let app = Router::new()
///     .route("/me", get(|session: Session| async move { session.user().to_string() }))
///     .layer(layer.clone());
///
/// let request = Request::get("/me").body(Body::empty())?;
/// let request = exeunt::testing::logged_in(&layer, UserId::from(7), request).await?;
/// assert_eq!(app.oneshot(request).await?.status(), 200);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// If the store did not answer.
pub async fn logged_in<B>(
    layer: &SessionLayer,
    user: UserId,
    mut request: Request<B>,
) -> Result<Request<B>, Error> {
    let login = layer.sessions().login(&Anybody, user, LoginOptions::default()).await?;
    let login = login.expect("Anybody refuses nobody");
    request.headers_mut().append(COOKIE, layer.sent_cookie(&login.token));
    Ok(request)
}

/// Accounts that take everybody's word for who they are.
struct Anybody;

impl Users for Anybody {
    type Credentials = UserId;

    async fn verify(&self, user: UserId) -> Result<Option<Verified>, UsersError> {
        Ok(Some(Verified::new(user, 0)))
    }

    async fn is_current(&self, _: &Verified) -> Result<bool, UsersError> {
        Ok(true)
    }
}
