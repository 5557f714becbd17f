//! Figures for Prometheus: what happens, how long the store takes, what waits.
//!
//! Must never have a token, a name or an address as a label, nor any label of which a client chooses the value. Must never
//! hold up a request: a figure is a number in memory, and whoever scrapes adds up.

mod live;
mod queues;
mod store;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use exeunt::store::Store;
use exeunt::{Event, EventKind, Sessions};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use self::live::Live;
use self::queues::Queues;
use self::store::Watched;
use crate::accounts::Hasher;
use crate::engines::Engines;

/// Names and values of labels: texts of this program alone.
type Labels = Vec<(&'static str, &'static str)>;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Every figure of one server. Cheap to clone; clones share everything.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registry: Registry,
    events: Counted,
    responses: Family<Labels, Counter>,
    live: Live,
    queues: Queues,
}

/// What is counted of events.
#[derive(Clone, Debug, Default)]
struct Counted {
    logins: Family<Labels, Counter>,
    logouts: Counter,
    ended: Family<Labels, Counter>,
    all: Family<Labels, Counter>,
}

impl Metrics {
    /// The figures of a server whose sessions are in `store`, and that store as it is to be used: it is the same, and every
    /// question to it is timed. What is at hand in memory is no question.
    #[must_use]
    pub fn of(engines: &Engines, hasher: Hasher, store: Arc<dyn Store>) -> (Self, Arc<dyn Store>) {
        let mut registry = Registry::with_prefix("exeunt");
        let store: Arc<dyn Store> = Arc::new(Watched::new(store, engines.name_of_store(), &mut registry));
        let events = Counted::default();
        events.register(&mut registry);
        let responses = Family::<Labels, Counter>::default();
        registry.register("responses", "Answers over HTTP by the class of their status", responses.clone());
        let live = Live::new(&mut registry);
        let queues = Queues::new(engines, hasher, &mut registry);
        (Self(Arc::new(Inner { registry, events, responses, live, queues })), store)
    }

    /// Counts what happens to these sessions and the accounts beside them from now on.
    pub fn listen_to(&self, sessions: &Sessions) {
        self.0.queues.listen_to(sessions.events());
        let counted = self.0.events.clone();
        sessions.on_event(move |event| counted.count(event));
    }

    /// Counts the live sessions again and again, for ever: spawn it once.
    pub async fn keep_counting(self, sessions: Sessions) {
        self.0.live.keep_counting(&sessions).await;
    }

    /// `app`, whose answers are counted.
    pub fn around(&self, app: Router) -> Router {
        app.layer(from_fn_with_state(self.clone(), count_response))
    }

    /// `GET /metrics`, and nothing else: for a listener of its own.
    pub fn router(self) -> Router {
        Router::new().route("/metrics", get(scrape)).with_state(self)
    }
}

impl Counted {
    fn register(&self, registry: &mut Registry) {
        let Self { logins, logouts, ended, all } = self;
        registry.register("logins", "Logins by their outcome: ok or refused", logins.clone());
        registry.register("logouts", "Logouts that ended a session", logouts.clone());
        registry.register(
            "sessions_ended",
            "Sessions that ended otherwise than by their own logout, by the reason",
            ended.clone(),
        );
        registry.register("events", "What happened, by its kind, as in the log", all.clone());
        // A figure that is there from the beginning can be told from one that is missing.
        for outcome in ["ok", "refused"] {
            drop(logins.get_or_create(&vec![("outcome", outcome)]));
        }
        for kind in EventKind::ALL {
            drop(all.get_or_create(&vec![("kind", kind.as_str())]));
        }
    }

    fn count(&self, event: &Event) {
        self.all.get_or_create(&vec![("kind", event.kind.as_str())]).inc();
        let outcome = |outcome| self.logins.get_or_create(&vec![("outcome", outcome)]).inc();
        match event.kind {
            EventKind::LoggedIn => outcome("ok"),
            EventKind::LoginRefused => outcome("refused"),
            EventKind::LoggedOut => self.logouts.inc(),
            EventKind::SessionEnded => {
                self.ended.get_or_create(&vec![("reason", event.reason.unwrap_or("none"))]).inc()
            }
            _ => 0,
        };
    }
}

async fn count_response(State(metrics): State<Metrics>, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let class = match response.status().as_u16() {
        ..200 => "1xx",
        200..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        500.. => "5xx",
    };
    metrics.0.responses.get_or_create(&vec![("class", class)]).inc();
    response
}

async fn scrape(State(metrics): State<Metrics>) -> Response {
    let Inner { registry, queues, .. } = &*metrics.0;
    queues.look();
    let mut text = String::new();
    match encode(&mut text, registry) {
        Ok(()) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(std::fmt::Error) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
