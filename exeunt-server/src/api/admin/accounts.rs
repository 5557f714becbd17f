//! Accounts, for administrators.
//!
//! Must never show a hash, nor take two steps for one change.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};

use super::answer::{bad_query, failed, faulty};
use super::body::Body;
use super::to_the_end;
use crate::accounts::{Account, AccountError, Changes, Last};
use crate::site::AppState;

const PAGE: usize = 100;
const LARGEST_PAGE: usize = 1_000;

/// Which accounts to list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Which {
    /// Those whose names begin so, in any case.
    #[serde(default)]
    prefix: String,
    /// Those after this name.
    #[serde(default)]
    after: String,
    limit: Option<usize>,
}

/// Some accounts.
#[derive(Debug, Serialize)]
pub(crate) struct Accounts {
    /// In the order of names without regard to case.
    accounts: Vec<Account>,
    /// The name to go on after; `null` at the end.
    next: Option<String>,
}

/// An account, changed or removed.
#[derive(Debug, Serialize)]
pub(crate) struct Changed {
    /// As it is now; a removed one as it was.
    account: Account,
    /// How many of its sessions ended.
    sessions_ended: usize,
}

/// `GET /api/admin/accounts?prefix=&after=&limit=`
pub(crate) async fn list(
    State(state): State<AppState>,
    which: Result<Query<Which>, QueryRejection>,
) -> Result<Json<Accounts>, Response> {
    let wrong = || bad_query("It takes `prefix`, `after` (a name) and `limit` (1 to 1000), each once.");
    let Query(Which { prefix, after, limit }) = which.map_err(|_| wrong())?;
    let limit = limit.unwrap_or(PAGE);
    if !(1..=LARGEST_PAGE).contains(&limit) {
        return Err(wrong());
    }
    // One more tells whether there is a next page.
    let mut accounts = state.accounts.page(&prefix, &after, limit + 1).await.map_err(failed)?;
    let more = accounts.len() > limit;
    accounts.truncate(limit);
    let next = accounts.last().filter(|_| more).map(|account| account.name.clone());
    Ok(Json(Accounts { accounts, next }))
}

/// `GET /api/admin/accounts/{id}`
pub(crate) async fn show(
    State(state): State<AppState>,
    id: Result<Path<i64>, PathRejection>,
) -> Result<Json<Account>, Response> {
    let found = state.accounts.get(number(id).map_err(failed)?).await.map_err(failed)?;
    found.map(Json).ok_or_else(|| failed(AccountError::NoSuchAccount))
}

/// `POST /api/admin/accounts` with `name`, `password` and maybe `admin`.
pub(crate) async fn add(State(state): State<AppState>, request: Request) -> Result<Response, Response> {
    let mut body = Body::read(request).await?;
    let (name, password) = (body.needed_text("name"), body.needed_text("password"));
    let admin = body.flag("admin").unwrap_or(false);
    body.end("an account is added with `name`, `password` and `admin`, and nothing else").map_err(faulty)?;
    let now = state.layer.sessions().now();
    let added = async move { state.accounts.add(&name, &password, admin, now).await.map_err(failed) };
    let account = to_the_end(added).await?;
    let place = format!("/api/admin/accounts/{}", account.id);
    Ok((StatusCode::CREATED, [(header::LOCATION, place)], Json(account)).into_response())
}

/// `PATCH /api/admin/accounts/{id}` with some of `admin`, `disabled` and `password`.
pub(crate) async fn change(
    State(state): State<AppState>,
    id: Result<Path<i64>, PathRejection>,
    request: Request,
) -> Result<Json<Changed>, Response> {
    let id = number(id).map_err(failed)?;
    let mut body = Body::read(request).await?;
    let changes = Changes {
        admin: body.flag("admin"),
        disabled: body.flag("disabled"),
        password: body.text("password"),
    };
    body.end("of an account, `admin`, `disabled` and `password` can be changed, and nothing else")
        .map_err(faulty)?;
    if matches!(changes, Changes { admin: None, disabled: None, password: None }) {
        return Err(faulty(vec![("", "at least one of `admin`, `disabled` and `password` is needed")]));
    }
    let change = async move { state.accounts.change(id, changes, Last::Stays).await.map_err(failed) };
    let (account, sessions_ended) = to_the_end(change).await?;
    Ok(Json(Changed { account, sessions_ended }))
}

/// `DELETE /api/admin/accounts/{id}`
pub(crate) async fn remove(
    State(state): State<AppState>,
    id: Result<Path<i64>, PathRejection>,
) -> Result<Json<Changed>, Response> {
    let id = number(id).map_err(failed)?;
    let remove = async move { state.accounts.remove_by_id(id, Last::Stays).await.map_err(failed) };
    let (account, sessions_ended) = to_the_end(remove).await?;
    Ok(Json(Changed { account, sessions_ended }))
}

/// What is not even a number is nobody's.
fn number(id: Result<Path<i64>, PathRejection>) -> Result<i64, AccountError> {
    id.map(|Path(id)| id).map_err(|_| AccountError::NoSuchAccount)
}
