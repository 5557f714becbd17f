//! Who reads a page that needs no session: they see who they are, and can log out there as on every page (R21).
//!
//! Must never keep such a page from anybody because nobody can tell whose session they have.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use exeunt::{UserId, Visitor};

use super::is_admin;
use crate::html::{Around, Who};
use crate::site::AppState;

/// Whoever is logged in; nothing of them if nobody is, or their store does not answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reader {
    known: Option<Known>,
}

#[derive(Clone, Debug)]
struct Known {
    user: UserId,
    name: String,
    admin: bool,
}

impl Reader {
    async fn of(state: &AppState, visitor: &Visitor) -> Self {
        let Ok(Some(session)) = visitor.session().await else { return Self::default() };
        let admin = is_admin(state, &session).await;
        Self { known: Some(Known { user: session.user().clone(), name: session.name().to_owned(), admin }) }
    }

    pub(super) fn around(&self) -> Around<'_> {
        match &self.known {
            Some(Known { name, admin, .. }) => Around { who: Some(name), admin: *admin, ..Around::default() },
            None => Around::default(),
        }
    }

    /// Who it is once all sessions of that user are over.
    pub(super) fn without(self, user: &UserId) -> Self {
        Self { known: self.known.filter(|known| known.user != *user) }
    }
}

/// Asks once, for the page and for whatever error it may turn out to be.
pub(crate) async fn note_reader(
    State(state): State<AppState>,
    visitor: Visitor,
    mut request: Request,
    next: Next,
) -> Response {
    let reader = Reader::of(&state, &visitor).await;
    let who = reader.known.as_ref().map(|known| Who(known.name.clone()));
    request.extensions_mut().insert(reader);
    let mut response = next.run(request).await;
    if let Some(who) = who {
        response.extensions_mut().insert(who);
    }
    response
}
