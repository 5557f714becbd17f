//! The cookie by which a client is known to have been used before, and the address that a try comes from.
//!
//! Must never let anybody in, nor be asked for by anything but a check of a password. The badge stays when somebody logs out:
//! it proves nothing.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use exeunt::Origin;

use crate::accounts::asking::Asking;
use crate::accounts::client::Badges;
use crate::site::Site;

/// The longest that browsers keep a cookie: 400 days (RFC 6265bis, section 5.5).
const MAX_AGE: u32 = 400 * 24 * 3_600;
const SECURE_NAME: &str = "__Host-client";
const PLAIN_NAME: &str = "client";

/// Lets checks of passwords and messages of this request know who is asking, and gives the client the badge of a right one.
pub(crate) async fn note_client(State(site): State<Arc<Site>>, request: Request, next: Next) -> Response {
    if request.method().is_safe() {
        return next.run(request).await;
    }
    // Not where everybody seems to come from one proxy: counted together, one guesser would lock out all others.
    let address = Origin::current().address.filter(|_| site.knows_sources);
    let asking = Asking::new(address, badges(&site, request.headers()));
    let asking = asking.reading(site.pages.language_for(request.headers()));
    let mut response = asking.clone().scope(next.run(request)).await;
    let went_well = response.status().is_success() || response.status().is_redirection();
    if let Some(badges) = asking.take_new_badges().filter(|_| went_well)
        && let Ok(cookie) = HeaderValue::try_from(cookie(&site, &badges))
    {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

fn badges(site: &Site, headers: &HeaderMap) -> Badges {
    let lines = headers.get_all(header::COOKIE).into_iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let value = pairs.find(|(given, _)| *given == name(site)).map(|(_, value)| value);
    value.map(Badges::parse).unwrap_or_default()
}

fn name(site: &Site) -> &'static str {
    if site.secure_cookie { SECURE_NAME } else { PLAIN_NAME }
}

fn cookie(site: &Site, badges: &Badges) -> String {
    let secure = if site.secure_cookie { "; Secure" } else { "" };
    format!("{}={}; Path=/; HttpOnly; SameSite=Lax; Max-Age={MAX_AGE}{secure}", name(site), badges.expose())
}
