//! What one request knows of its session. The store is asked for it at most once.
//!
//! Must never write anything on the way out but headers: there is no commit phase.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use http::header::{CACHE_CONTROL, Entry, HeaderMap, HeaderName, HeaderValue, SET_COOKIE, VARY};
use http::{Extensions, Response};

use super::cookie::{Cookie, Presented};
use crate::auth::{Error, Extend, LoggedIn, Origin, Sessions};
use crate::session::{Record, Token};
use crate::store::StoreError;

const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SESSION_EXTEND: HeaderName = HeaderName::from_static("session-extend");

/// Marks a request as sent by a page of itself: it does not keep the session alive (R15).
///
/// As a layer over routes that pages poll; a client says the same with the header `Session-Extend: no`. Inside of
/// `RequireSession` it is noticed only where the handler takes `Session`, `Option<Session>` or `Visitor`.
///
/// ```
/// use axum::{Extension, Router, routing::get};
/// use exeunt::{Session, http::Polling};
///
/// async fn news(session: Session) -> String {
///     format!("nothing new for {}", session.name())
/// }
///
/// let polled: Router = Router::new().route("/news", get(news)).layer(Extension(Polling));
/// # let _ = polled;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Polling;

/// What every request under one layer shares.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) sessions: Sessions,
    pub(super) cookie: Cookie,
}

/// One request's view of its session.
#[derive(Debug)]
pub(super) struct Visit {
    shared: Arc<Shared>,
    presented: OnceLock<Presented>,
    asking: tokio::sync::Mutex<()>,
    known: Mutex<Known>,
}

/// Whether whoever asks for the session notes that it was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Touch {
    /// Before the answer.
    Now,
    /// Later, by [`Visit::touch`], when what is inside has had its chance to say that it polls.
    Later,
}

#[derive(Debug, Default)]
struct Known {
    asked: bool,
    /// The outer `Option`: whether it is known. The inner: whether there is one.
    session: Option<Option<Arc<Record>>>,
    /// Whether a touch of that session is due.
    untouched: bool,
    polls: bool,
    /// The token that a login in this request made.
    given: Option<Arc<Token>>,
    /// Whether what the request brought was logged out.
    over: bool,
    cookie: Option<HeaderValue>,
}

/// In the response: that this is our own refusal, and the place for the removal of a dead cookie.
#[derive(Clone, Copy, Debug)]
pub(super) struct RemoveCookie;

impl Visit {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            presented: OnceLock::new(),
            asking: tokio::sync::Mutex::new(()),
            known: Mutex::new(Known::default()),
        }
    }

    /// The visit of a request, which [`SessionLayer`](super::SessionLayer) put there, with the cookie read.
    pub(super) fn of(headers: &HeaderMap, extensions: &Extensions) -> Option<Arc<Self>> {
        let visit = extensions.get::<Arc<Self>>()?;
        visit.presented.get_or_init(|| visit.shared.cookie.read(headers));
        if extensions.get::<Polling>().is_some() || opts_out(headers) {
            visit.known().polls = true;
        }
        Some(Arc::clone(visit))
    }

    pub(super) fn sessions(&self) -> &Sessions {
        &self.shared.sessions
    }

    /// The answer where neither a box nor a wait is needed.
    pub(super) fn at_hand(&self, touch: Touch) -> Option<Option<Arc<Record>>> {
        let mut known = self.known();
        known.asked = true;
        if known.session.is_none() {
            known.session = match self.presented.get() {
                Some(Presented::Token(token)) => {
                    let fresh = self.sessions().resume_at_hand(token, Extend::Yes);
                    known.untouched = fresh.is_none();
                    Some(Some(fresh.or_else(|| self.sessions().resume_at_hand(token, Extend::No))?))
                }
                _ => Some(None),
            };
        }
        // Mutants: `||` only makes a request wait where it need not, for something that has nothing to do then.
        let wait = touch == Touch::Now && known.untouched && !known.polls;
        if wait { None } else { known.session.clone() }
    }

    /// The request's live session. `Err`: not known, which is not "none".
    pub(super) async fn session(&self, touch: Touch) -> Result<Option<Arc<Record>>, Error> {
        if let Some(answer) = self.at_hand(touch) {
            return Ok(answer);
        }
        let _turn = self.asking.lock().await;
        if let (true, Some(Presented::Token(token))) = (self.is_unknown(), self.presented.get()) {
            let answer = self.sessions().resume(token, Extend::No).await?;
            let due = answer.as_ref().is_some_and(|record| self.sessions().touch_is_due(record));
            let mut known = self.known();
            known.untouched = due;
            known.session.get_or_insert(answer);
        }
        if touch == Touch::Now {
            self.touch().await;
        }
        Ok(self.known().session.clone().flatten())
    }

    fn is_unknown(&self) -> bool {
        self.known().session.is_none()
    }

    /// Whether [`Visit::touch`] has something to do.
    pub(super) fn wants_touch(&self) -> bool {
        let known = self.known();
        // Mutants: likewise `||`, and `true`.
        known.untouched && !known.polls && matches!(known.session, Some(Some(_)))
    }

    /// Notes that the session was seen, if that is due and the request does not poll. Once.
    pub(super) async fn touch(&self) {
        let Some(record) = self.take_untouched() else { return };
        let id = record.id();
        let touched = self.sessions().touch(record).await;
        let mut known = self.known();
        if matches!(&known.session, Some(Some(current)) if current.id() == id) {
            known.session = Some(touched);
        }
    }

    fn take_untouched(&self) -> Option<Arc<Record>> {
        let mut known = self.known();
        let due = !known.polls && std::mem::take(&mut known.untouched);
        known.session.clone().flatten().filter(|_| due)
    }

    /// Whether the request brought a cookie of our name.
    pub(super) fn brought_a_cookie(&self) -> bool {
        self.presented.get().is_some_and(|presented| !matches!(presented, Presented::Nothing))
    }

    /// Does something with the token that counts now: that of a login in this request, or else what it brought.
    pub(super) fn token(&self) -> Option<Holding<'_>> {
        let known = self.known();
        if let Some(given) = &known.given {
            return Some(Holding::Given(Arc::clone(given)));
        }
        match self.presented.get() {
            Some(Presented::Token(token)) if !known.over => Some(Holding::Brought(token)),
            _ => None,
        }
    }

    pub(super) fn asked(&self) {
        self.known().asked = true;
    }

    /// From here on the request is that of this session, and its token goes out.
    pub(super) fn began(&self, login: LoggedIn) -> Arc<Record> {
        let LoggedIn { token, record } = login;
        let max_age = record.remembered().then(|| record.ends_at().since(self.shared.sessions.now()));
        let mut known = self.known();
        known.cookie = Some(self.shared.cookie.set(&token, max_age));
        known.given = Some(Arc::new(token));
        known.session = Some(Some(Arc::clone(&record)));
        known.untouched = false;
        record
    }

    /// From here on the request is a visitor's, and the browser drops the cookie.
    pub(super) fn ended(&self) {
        let mut known = self.known();
        let held = known.given.take().is_some();
        known.session = Some(None);
        known.over = true;
        known.cookie = (held || self.brought_a_cookie()).then(|| self.shared.cookie.removal());
    }

    /// Notes what the session's data is now, or that it is gone.
    pub(super) fn changed(&self, record: Option<Arc<Record>>) {
        self.known().session = Some(record);
    }

    /// Whoever asks next asks the store.
    pub(super) fn forget(&self) {
        let mut known = self.known();
        (known.session, known.untouched) = (None, false);
    }

    /// Adds what the response needs: at most one cookie, and no copy kept where a session was asked for (R22).
    pub(super) fn finish<B>(&self, response: &mut Response<B>) {
        let mut known = self.known();
        if !known.asked {
            return;
        }
        let removal = response.extensions_mut().remove::<RemoveCookie>().is_some();
        let cookie = known.cookie.take().or_else(|| removal.then(|| self.shared.cookie.removal()));
        let headers = response.headers_mut();
        if let Some(cookie) = cookie {
            headers.append(SET_COOKIE, cookie);
        }
        headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        match headers.entry(VARY) {
            Entry::Vacant(vary) => {
                vary.insert(HeaderValue::from_static("Cookie"));
            }
            Entry::Occupied(mut vary) => {
                if !vary.iter().any(names_cookie) {
                    vary.append(HeaderValue::from_static("Cookie"));
                }
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The token that counts now.
pub(super) enum Holding<'a> {
    Given(Arc<Token>),
    Brought(&'a Token),
}

impl std::ops::Deref for Holding<'_> {
    type Target = Token;

    fn deref(&self) -> &Token {
        match self {
            Self::Given(token) => token,
            Self::Brought(token) => token,
        }
    }
}

/// Whether a removal may go out: not to a script, whose late answer could erase a newer login's cookie.
pub(super) fn may_remove(headers: &HeaderMap) -> bool {
    headers.get(SEC_FETCH_MODE).is_none_or(|mode| mode == "navigate")
}

/// Whether a person's browser asks for a page to show, so that a redirect to the login page makes sense (R26).
pub(super) fn is_navigation(headers: &HeaderMap) -> bool {
    match headers.get(SEC_FETCH_MODE) {
        Some(mode) => mode == "navigate",
        None => names_html(headers),
    }
}

/// Whether `Accept` names `text/html`: somebody browses. `*/*` and `text/html;q=0` do not count.
#[must_use]
pub fn names_html(headers: &HeaderMap) -> bool {
    let ranges = headers.get_all(http::header::ACCEPT).into_iter().filter_map(|value| value.to_str().ok());
    let mut ranges = ranges.flat_map(|value| value.split(','));
    ranges.any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let named = parts.next().is_some_and(|media| media.eq_ignore_ascii_case("text/html"));
        named && !parts.any(is_zero_quality)
    })
}

fn is_zero_quality(parameter: &str) -> bool {
    let quality = parameter.strip_prefix("q=").or_else(|| parameter.strip_prefix("Q="));
    quality.is_some_and(|quality| quality.trim().parse() == Ok(0.0_f32))
}

fn opts_out(headers: &HeaderMap) -> bool {
    headers.get(SESSION_EXTEND).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"no"))
}

fn names_cookie(vary: &HeaderValue) -> bool {
    let mut names = vary.to_str().unwrap_or_default().split(',').map(str::trim);
    names.any(|name| name == "*" || name.eq_ignore_ascii_case("cookie"))
}

/// Runs a step to its end although nobody may wait for it: axum drops the handler of a lost connection.
pub(super) async fn to_the_end<T: Send + 'static>(
    step: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    match Origin::current().spawn(step).await {
        Ok(result) => result,
        // It panicked, or the runtime is shutting down: nothing is known.
        Err(error) => Err(StoreError::new("session", error).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::from_static(value))])
    }

    #[test]
    fn only_a_client_that_names_html_asks_for_a_page() {
        for (accept, html) in [
            ("text/html", true),
            ("application/xhtml+xml, TEXT/HTML;q=0.9, */*;q=0.8", true),
            ("*/*", false),
            ("text/*", false),
            ("text/html;q=0", false),
            ("text/html; q=0.0, application/json", false),
            ("text/html;charset=utf-8;q=0.1", true),
            ("application/json", false),
        ] {
            assert_eq!(names_html(&headers("accept", accept)), html, "{accept}");
        }
    }

    #[test]
    fn a_removal_goes_to_navigations_and_to_clients_that_are_no_browsers() {
        // R24
        assert!(may_remove(&HeaderMap::new()));
        for (mode, may) in
            [("navigate", true), ("cors", false), ("same-origin", false), ("no-cors", false), ("", false)]
        {
            assert_eq!(may_remove(&headers("sec-fetch-mode", mode)), may, "{mode}");
        }
    }

    #[test]
    fn vary_names_the_cookie_once() {
        for (vary, named) in [("Accept", false), ("accept, COOKIE", true), ("*", true), ("Set-Cookie", false)]
        {
            assert_eq!(names_cookie(&HeaderValue::from_static(vary)), named, "{vary}");
        }
    }
}
