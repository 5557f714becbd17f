//! A page on another origin: what it takes, and what it costs.
//!
//! An *origin* is scheme, host and port; a *site* is the domain that was registered, with its scheme. `https://app.example.org` and
//! `https://login.example.org` are two origins of one site, `https://app.example.net` is another site.
//!
//! | the page is of | what it needs |
//! | --- | --- |
//! | the same origin | nothing. Where you can, put both behind one host: nothing else is as simple, or as safe |
//! | another origin of the same site | its origin on the list |
//! | another site | its origin on the list, `SameSite=None`, https on both, and browsers that still send cookies to third parties |
//!
//! The list is `allowed_origins` of the server; with the library it is [`SessionLayer::trust_origin`](crate::SessionLayer::trust_origin) for each origin
//! and `tower_http::cors` with the same list. It is exact: no wildcards, no subdomains, no `null`. A page on it sends
//! `fetch(url, { credentials: "include" })`. The server answers its preflights for 10 minutes, shows it the answers of `/api/…` alone, and lets its unsafe
//! requests pass the check that refuses those of all others (R31, R54).
//!
//! **Whoever controls a page on the list, or a script in it, acts in the session of everybody who looks at it**, as a page of
//! your own could. It cannot read the cookie. Origins of plain http are refused beside an https server.
//!
//! # What `SameSite=None` then means
//!
//! The browser sends the cookie with *every* request to the server, whichever site it comes from: links, images, forms, frames. What
//! `SameSite=Lax` held off behind the cross-site check is held off by that check alone: unsafe methods by `Sec-Fetch-Site` and `Origin`,
//! reading by CORS. A `GET` must not change anything (in exeunt's own routes it does not). So `none` is refused without https, and
//! unless a page of another *site* needs it, leave `lax`.
//!
//! Safari sends no cookies to third parties, Firefox keeps them apart for each site that embeds, and others let people choose so: there,
//! a page of another site finds nobody logged in, whatever the server says. A page of the same site is not affected.
