//! Reads a small JSON object, and says of each member what is wrong with it.
//!
//! Must never repeat what it read: there may be a password in it.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest as _, Request};
use axum::http::StatusCode;
use axum::response::Response;
use exeunt::http::problem;
use serde_json::{Map, Value};

use super::answer::Fault;

/// The members of a body that were not asked for yet, and what was wrong with the others.
#[derive(Debug)]
pub(super) struct Body {
    members: Map<String, Value>,
    faults: Vec<Fault<'static>>,
}

impl Body {
    /// 415, 413 or 400 if it is no JSON object.
    pub(super) async fn read(request: Request) -> Result<Self, Response> {
        match Json::<Map<String, Value>>::from_request(request, &()).await {
            Ok(Json(members)) => Ok(Self { members, faults: Vec::new() }),
            Err(JsonRejection::MissingJsonContentType(_)) => {
                Err(problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, "The body is application/json"))
            }
            Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                Err(problem(StatusCode::PAYLOAD_TOO_LARGE, "Too large"))
            }
            Err(_) => Err(problem(StatusCode::BAD_REQUEST, "The body is not a JSON object")),
        }
    }

    pub(super) fn text(&mut self, name: &'static str) -> Option<String> {
        match self.members.remove(name)? {
            Value::String(text) => Some(text),
            _ => self.fault(name, "it has to be text"),
        }
    }

    /// As [`Body::text`], of a member that has to be there.
    pub(super) fn needed_text(&mut self, name: &'static str) -> String {
        if !self.members.contains_key(name) {
            self.faults.push((name, "it is missing"));
        }
        self.text(name).unwrap_or_default()
    }

    pub(super) fn flag(&mut self, name: &'static str) -> Option<bool> {
        match self.members.remove(name)? {
            Value::Bool(flag) => Some(flag),
            _ => self.fault(name, "it has to be true or false"),
        }
    }

    fn fault<T>(&mut self, name: &'static str, detail: &'static str) -> Option<T> {
        self.faults.push((name, detail));
        None
    }

    /// What was wrong, and `known` if anything is left over: what there could have been.
    pub(super) fn end(mut self, known: &'static str) -> Result<(), Vec<Fault<'static>>> {
        if !self.members.is_empty() {
            self.faults.push(("", known));
        }
        if self.faults.is_empty() { Ok(()) } else { Err(self.faults) }
    }
}
