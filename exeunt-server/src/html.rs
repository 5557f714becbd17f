//! Makes pages of templates.
//!
//! Must never put anything into a page that its template does not escape.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use exeunt::http::problem;
use exeunt::store::Causes;

/// Changes with every release, so that browsers fetch the new stylesheet.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

pub(crate) fn page(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => (status, Html(html)).into_response(),
        Err(cause) => {
            tracing::error!(
                event = "page_failed",
                error = %Causes(&cause),
                "page not rendered"
            );
            problem(StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong")
        }
    }
}

/// A page that says one thing.
#[derive(Template)]
#[template(path = "message.html")]
pub(crate) struct Message<'a> {
    pub(crate) title: &'a str,
    pub(crate) text: &'a str,
    /// Whose session it is, if that is known: they can log out here too (R21).
    pub(crate) who: Option<&'a str>,
    pub(crate) action: Action,
}

/// Whose session a response is about, for the pages made of it here.
#[derive(Clone, Debug)]
pub(crate) struct Who(pub(crate) String);

/// What a page that says one thing offers.
pub(crate) enum Action {
    None,
    Home,
    LogOutAgain,
}
