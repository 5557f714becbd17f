//! What the routes work on, and what the server knows about itself: its address, its proxies, its answers to choose.
//!
//! Must never take its address from a request.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::status::InvalidStatusCode;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use exeunt::{SessionLayer, Timestamp};

use crate::accounts::Accounts;
use crate::config::{Config, PublicUrl};
use crate::html::{Brand, BrandError, Link, Page, Pages};
use crate::proxy::{Peer, Proxies};

/// Not for the subdomains: they are not this server's to speak for.
const TWO_YEARS: HeaderValue = HeaderValue::from_static("max-age=63072000");

/// The spans that are traces, and go to a collector if one is named, never into the log.
pub(crate) const TRACES: &str = "exeunt_traces";

/// What the routes work on. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AppState {
    /// Sessions with the cookie that carries them.
    pub layer: SessionLayer,
    /// Who may log in.
    pub accounts: Accounts,
    /// What the server knows about itself.
    pub site: Arc<Site>,
}

/// What the server knows about itself.
#[derive(Debug)]
pub struct Site {
    /// Where people reach it, if that was configured.
    pub(crate) public_url: Option<String>,
    /// The origins whose pages may call the API, as browsers write them.
    pub(crate) allowed_origins: Vec<HeaderValue>,
    /// The name of the session cookie.
    pub(crate) cookie_name: String,
    /// Whether the session cookie goes over https alone.
    pub(crate) secure_cookie: bool,
    /// R46: `Strict-Transport-Security`, with an https public URL.
    pub(crate) transport_security: Option<HeaderValue>,
    /// What a logout that could not be confirmed answers.
    pub(crate) logout_failure_status: StatusCode,
    /// The proxies whose word counts.
    pub(crate) proxies: Proxies,
    /// What pages are made of.
    pub(crate) pages: Arc<Pages>,
    /// Whether the addresses that requests come from are those of people, or of a proxy that is not trusted to tell them.
    pub(crate) knows_sources: bool,
    /// Tells this run's request ids from another's.
    pub(crate) started: Timestamp,
    /// How many requests got an id.
    pub(crate) requests: AtomicU64,
}

/// Why the server cannot know itself.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
#[non_exhaustive]
pub enum SiteError {
    /// The status of a failed logout is none.
    Status(#[from] InvalidStatusCode),
    /// The pages cannot be made.
    Pages(#[from] BrandError),
}

impl Site {
    /// What the configuration says, for a run that begins at `started`.
    ///
    /// # Errors
    ///
    /// If the status of a failed logout is none, or a file for the pages is broken: then it says which, and where.
    pub fn new(config: &Config, started: Timestamp) -> Result<Self, SiteError> {
        let https = config.public_url.as_ref().is_some_and(PublicUrl::is_https);
        Ok(Self {
            public_url: config.public_url.as_ref().map(ToString::to_string),
            // What a `PublicUrl` is made of can stand in a header.
            allowed_origins: config
                .allowed_origins
                .iter()
                .filter_map(|url| HeaderValue::from_str(url.origin()).ok())
                .collect(),
            cookie_name: config.cookie_name().to_owned(),
            secure_cookie: config.cookie_is_secure(),
            transport_security: https.then_some(TWO_YEARS),
            logout_failure_status: StatusCode::from_u16(config.logout_failure_status)?,
            proxies: Proxies::new(config.trusted_proxies.clone()),
            pages: Arc::new(Pages::new(&brand(config))?),
            knows_sources: config.knows_sources(),
            started,
            requests: AtomicU64::new(0),
        })
    }

    /// An id to find a request's lines in the log by. Not a secret.
    pub(crate) fn request_id(&self, peer: Option<Peer>, headers: &HeaderMap) -> HeaderValue {
        let given = peer.and_then(|Peer(address)| self.proxies.request_id(address.ip(), headers));
        if let Some(id) = given {
            return id.clone();
        }
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let id = format!("{:x}-{number}", self.started.as_micros());
        HeaderValue::try_from(id).unwrap_or(HeaderValue::from_static("-"))
    }
}

fn brand(config: &Config) -> Brand {
    let link = |link: &crate::config::Link| Link { text: link.text.clone(), url: link.url.clone() };
    Brand {
        name: config.brand_name.clone(),
        logo: config.brand_logo.clone(),
        accent: config.brand_accent.map(|colour| colour.0),
        links: config.brand_links.iter().map(link).collect(),
        folder: config.brand_folder.clone(),
        language: config.language.clone(),
    }
}

/// In the language of whoever asks.
impl FromRequestParts<AppState> for Page {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Infallible> {
        Ok(Self::of(&state.site.pages, &parts.headers))
    }
}
