//! Accounts, for administrators.
//!
//! Must never show a hash, nor take two steps for one change.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};

use super::answer::{bad_query, failed, faulty, limit_of};
use super::body::Body;
use super::schema;
use super::to_the_end;
use crate::accounts::{Account, AccountError, Changes, Find, Last, Place};
use crate::site::AppState;

/// Which accounts to list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Which {
    /// Those whose names begin so, in any case.
    #[serde(default)]
    prefix: String,
    /// Those whose names have this in them, in any case. Every name is looked at for it.
    #[serde(default)]
    name: String,
    /// Those after this name.
    #[serde(default)]
    after: String,
    /// At most so many; 100 if it is left out.
    #[param(minimum = 1, maximum = 1000, nullable = false)]
    limit: Option<usize>,
}

/// Some accounts.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Accounts {
    /// In the order of names without regard to case.
    accounts: Vec<Account>,
    /// The name to go on after; `null` at the end.
    #[schema(required)]
    next: Option<String>,
}

/// An account, changed or removed.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Changed {
    /// As it is now; a removed one as it was.
    account: Account,
    /// How many of its sessions ended.
    sessions_ended: usize,
}

/// List accounts
#[utoipa::path(
    get, path = "/api/admin/accounts", tag = "administration", security(("session" = [])), params(Which),
    operation_id = "list_accounts",
    responses(
        (status = 200, description = "Some accounts", body = Accounts),
        (status = 400, description = "The query has something else, or something twice"),
    )
)]
pub(crate) async fn list(
    State(state): State<AppState>,
    which: Result<Query<Which>, QueryRejection>,
) -> Result<Json<Accounts>, Response> {
    let wrong =
        || bad_query("It takes `prefix`, `name`, `after` (a name) and `limit` (1 to 1000), each once.");
    let Query(Which { prefix, name, after, limit }) = which.map_err(|_| wrong())?;
    let limit = limit_of(limit).ok_or_else(wrong)?;
    // One more tells whether there is a next page.
    let find = Find { prefix: &prefix, part: &name, place: Place::After(&after) };
    let mut accounts = state.accounts.page(find, limit + 1).await.map_err(failed)?;
    let more = accounts.len() > limit;
    accounts.truncate(limit);
    let next = accounts.last().filter(|_| more).map(|account| account.name.clone());
    Ok(Json(Accounts { accounts, next }))
}

/// Show an account
#[utoipa::path(
    get, path = "/api/admin/accounts/{id}", tag = "administration", security(("session" = [])),
    operation_id = "show_account",
    params(("id" = i64, Path, description = "The account's number")),
    responses(
        (status = 200, description = "The account", body = Account),
        (status = 404, description = "There is no such account"),
    )
)]
pub(crate) async fn show(
    State(state): State<AppState>,
    id: Result<Path<i64>, PathRejection>,
) -> Result<Json<Account>, Response> {
    let found = state.accounts.get(number(id).map_err(failed)?).await.map_err(failed)?;
    found.map(Json).ok_or_else(|| failed(AccountError::NoSuchAccount))
}

/// Add an account
#[utoipa::path(
    post, path = "/api/admin/accounts", tag = "administration", security(("session" = [])),
    operation_id = "add_account", request_body = schema::NewAccount,
    responses(
        (status = 201, description = "It is added", body = Account,
            headers(("Location" = String, description = "Where it can be shown, changed and removed"))),
        (status = 409, description = "There is an account of that name already, maybe in another case"),
        (status = 422, description = "Something is missing, unknown or refused, which `errors` explains"),
        (status = 503, description = "Too many passwords are being hashed, or nothing is known: `detail` says which"),
    )
)]
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

/// Change an account
///
/// In one step. Where its password or its role changes, or it is disabled, its sessions end.
#[utoipa::path(
    patch, path = "/api/admin/accounts/{id}", tag = "administration", security(("session" = [])),
    operation_id = "change_account", request_body = schema::AccountChanges,
    params(("id" = i64, Path, description = "The account's number")),
    responses(
        (status = 200, description = "It is changed", body = Changed),
        (status = 404, description = "There is no such account"),
        (status = 409, description = "Nobody would be left to administer (`urn:exeunt:last-administrator`): nothing was done"),
        (status = 422, description = "Something is missing, unknown or refused, which `errors` explains"),
        (status = 503, description = "Nothing is known, or, as `detail` says then, it *is* changed and its sessions are yet to end"),
    )
)]
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

/// Remove an account
///
/// All its sessions end.
#[utoipa::path(
    delete, path = "/api/admin/accounts/{id}", tag = "administration", security(("session" = [])),
    operation_id = "remove_account",
    params(("id" = i64, Path, description = "The account's number")),
    responses(
        (status = 200, description = "It is removed", body = Changed),
        (status = 404, description = "There is no such account"),
        (status = 409, description = "Nobody would be left to administer (`urn:exeunt:last-administrator`): nothing was done"),
        (status = 503, description = "Nothing is known, or, as `detail` says then, it *is* removed and its sessions are yet to end"),
    )
)]
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
