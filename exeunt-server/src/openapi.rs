//! What the API is: one document for programs, made of the code (OpenAPI 3.1), and a page for people, made of the document.
//!
//! Must never say anything of this installation but what every answer tells, so that it can be read without a session:
//! whoever writes a client reads how to log in before they can.

mod auth;
mod page;
mod schema;

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{Html, IntoResponse, Response};
use utoipa::OpenApi as _;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, SecurityScheme};
use utoipa::openapi::{ContentBuilder, OpenApi, Ref, RefOr, Response as Answer, ResponseBuilder};

use crate::api::{self, admin};

const PROBLEM: &str = "application/problem+json";

/// Each route of the API. `app` has the same, and a test compares the two.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(title = "exeunt", description = "\
Login and logout, one's own sessions and one's own password; and, for administrators, accounts, everybody's sessions, and \
what happened.

A session is a cookie that login sets: HttpOnly, so that scripts cannot read it. Send it back as any browser does.

Errors are `application/problem+json` (RFC 9457). Besides what stands at each operation: 404 for what is not there, 405 \
with `Allow`, 408 for a body that takes too long, 500. A 503 says `Retry-After`, and nothing about the session: it may \
live. A request with an unsafe method that a browser sends from another site is refused with 403. Where `type` is \
`urn:exeunt:reauthenticate`, log in again within the session, and try again.

A request with the header `Session-Extend: no` does not keep the session alive: for what a page asks by itself."),
    paths(
        auth::login,
        auth::reauthenticate,
        auth::logout,
        auth::logout_by_form,
        auth::sessions,
        auth::end_sessions,
        auth::end_session,
        api::password::change_password,
        api::reset::ask,
        api::reset::confirm,
        api::me,
        admin::accounts::list,
        admin::accounts::add,
        admin::accounts::show,
        admin::accounts::change,
        admin::accounts::remove,
        admin::sessions::list,
        admin::sessions::end_many,
        admin::sessions::show,
        admin::sessions::end_one,
        admin::events::list,
        api::healthz,
        api::readyz,
    ),
    components(schemas(schema::Problem)),
    tags(
        (name = "session", description = "Logging in and out"),
        (name = "sessions", description = "All of one's own sessions"),
        (name = "account", description = "One's own account"),
        (name = "administration", description = "For administrators alone: accounts, everybody's sessions, and what happened"),
        (name = "server", description = "Signs of life"),
    )
)]
struct Document;

/// The document and the page, made once.
#[derive(Debug)]
pub(crate) struct Described {
    json: String,
    page: String,
}

/// Describes the API whose sessions are in a cookie of that name.
pub(crate) fn describe(cookie_name: &str) -> Arc<Described> {
    let document = document(cookie_name);
    // It holds text alone, which JSON can always say.
    let json = document.to_pretty_json().unwrap_or_default();
    let page = page::render(&serde_json::to_value(&document).unwrap_or_default());
    Arc::new(Described { json, page })
}

/// `GET /openapi.json`
pub(crate) async fn json(State(described): State<Arc<Described>>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], described.json.clone()).into_response()
}

/// `GET /openapi`
pub(crate) async fn page(State(described): State<Arc<Described>>) -> Html<String> {
    Html(described.page.clone())
}

pub(crate) fn document(cookie_name: &str) -> OpenApi {
    let mut document = Document::openapi();
    let cookie = ApiKeyValue::with_description(cookie_name, "Set by login, removed by logout.");
    let scheme = SecurityScheme::ApiKey(ApiKey::Cookie(cookie));
    document.components.get_or_insert_default().add_security_scheme("session", scheme);
    for (path, item) in &mut document.paths.paths {
        if path.starts_with("/api/admin/") {
            administers(item);
        }
        let unsafes = [&mut item.post, &mut item.put, &mut item.patch, &mut item.delete];
        for operation in unsafes.into_iter().flatten() {
            refuses(operation, "403", "Sent from another site: nothing was done");
            complete(operation);
        }
        item.get.iter_mut().for_each(complete);
    }
    document
}

/// What goes for all that administrators alone may do: `api::admin` guards each in one place, too.
fn administers(item: &mut PathItem) {
    for operation in [&mut item.post, &mut item.patch, &mut item.delete].into_iter().flatten() {
        refuses(
            operation,
            "403",
            "For administrators alone; or log in again first (`urn:exeunt:reauthenticate`); or sent from another site",
        );
        if operation.request_body.is_some() {
            refuses(operation, "413", "The body has more than 64 KiB");
        }
    }
    item.get.iter_mut().for_each(|operation| refuses(operation, "403", "For administrators alone"));
}

/// What goes for all that need a session, or a body, is said in one place.
fn complete(operation: &mut Operation) {
    let (session, body) = (operation.security.is_some(), operation.request_body.is_some());
    if session {
        refuses(operation, "401", "There is no live session, or it ended meanwhile");
    }
    if body {
        refuses(operation, "400", "Not the JSON object that it takes");
        refuses(operation, "413", "The body has more than 16 KiB");
        refuses(operation, "415", "The body is not `application/json`");
    }
    if session || body {
        refuses(
            operation,
            "503",
            "What keeps sessions or accounts does not answer: nothing is known. Try again",
        );
    }
    let refusals = operation.responses.responses.iter_mut();
    for (_, answer) in refusals.filter(|(status, _)| status.starts_with(['4', '5'])) {
        if let RefOr::T(answer) = answer
            && answer.content.is_empty()
        {
            answer.content = refusal("").content;
        }
    }
}

fn refuses(operation: &mut Operation, status: &str, why: &str) {
    operation.responses.responses.entry(status.to_owned()).or_insert_with(|| RefOr::T(refusal(why)));
}

fn refusal(why: &str) -> Answer {
    let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    ResponseBuilder::new().description(why).content(PROBLEM, problem).build()
}
