//! Forms of somebody who is logged in: each brings a token of the session that its page was made for (R53).

use axum::extract::{Form, FromRequest, Request};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use exeunt::{Event, EventKind, Session, Verifier};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};

use crate::error;
use crate::site::AppState;

/// Tells this hash from every other one that is made of a verifier.
const PURPOSE: &[u8] = b"exeunt form\0";

/// What the forms of a session's pages send along. Nothing of it is kept: who holds the session's secret, or reads the
/// store, could make it, and neither needs to.
pub(super) fn token(session: &Session) -> String {
    of(session.record().verifier())
}

fn of(verifier: &Verifier) -> String {
    let hash = Sha256::new().chain_update(PURPOSE).chain_update(verifier.as_bytes()).finalize();
    URL_SAFE_NO_PAD.encode(hash)
}

/// Also right is the token from before the session's secret was last renewed: a tab that was open meanwhile still shows it.
fn is_right(session: &Session, given: &str) -> bool {
    let record = session.record();
    [Some(record.verifier()), record.previous()]
        .into_iter()
        .flatten()
        .any(|verifier| same(&of(verifier), given))
}

/// In constant time, by way of a type that compares so.
fn same(right: &str, given: &str) -> bool {
    let hash = |text: &str| Verifier::from_bytes(Sha256::digest(text).into());
    hash(right) == hash(given)
}

/// A form of a page that was made for this session.
///
/// Logging out takes none: who is to be kept from it is kept by R31, a stale token must never keep anybody logged in, and
/// logout must not rest on one more thing.
#[derive(Debug)]
pub(crate) struct Sent<T> {
    pub(super) session: Session,
    pub(super) form: T,
}

#[derive(Deserialize)]
struct Sealed<T> {
    #[serde(default, rename = "form")]
    token: String,
    #[serde(flatten)]
    form: T,
}

impl<T: DeserializeOwned> FromRequest<AppState> for Sent<T> {
    type Rejection = Response;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let session =
            <Session as axum::extract::FromRequestParts<AppState>>::from_request_parts(&mut parts, state);
        let session = session.await.map_err(exeunt::http::SessionRejection::into_response)?;
        let sealed = Form::<Sealed<T>>::from_request(Request::from_parts(parts, body), state).await;
        let Form(Sealed { token, form }) = sealed.map_err(|rejection| error::refused(rejection.status()))?;
        if !is_right(&session, &token) {
            let refused = Event::new(EventKind::CrossSiteRefused).of(session.user()).session(session.id());
            state.layer.sessions().events().report(refused.because("form_token"));
            return Err(error::refused(StatusCode::FORBIDDEN));
        }
        Ok(Self { session, form })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_token_is_of_one_verifier_and_does_not_tell_it() {
        // R53
        let (one, other) = (Verifier::from_bytes([7; 32]), Verifier::from_bytes([8; 32]));
        assert_eq!(of(&one), of(&one));
        assert_ne!(of(&one), of(&other));
        assert_ne!(of(&one), URL_SAFE_NO_PAD.encode(one.as_bytes()));
        assert!(same(&of(&one), &of(&one)));
        assert!(!same(&of(&one), &of(&other)) && !same(&of(&one), ""));
    }
}
