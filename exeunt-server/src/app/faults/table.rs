//! The table: each route, what it cannot do without, and its answers.

use self::Whose::{His, Other, Own};
use super::faulty::Step;
use super::faulty::Step::{Create, Destroy, DestroyAll, List, Load, Ping, Renew, Walk};

pub(super) const RIGHT: &str = "correct horse battery staple";

/// One request, and its answers. In path and body stand `{form}` for what the forms of this session send along, `{own}` and
/// `{other}` for the ids of this session and of another one of alice, `{bob}` for the number of somebody who has a session,
/// `{his}` for the id of that session, `{new}` for a name that nobody has, `{link}` for the secret of a link to set a new
/// password by, and `{setup}` for that of the first set-up.
#[derive(Clone, Copy)]
pub(super) struct Row {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) body: &'static str,
    /// Whether alice asks, who is an administrator.
    pub(super) cookie: bool,
    pub(super) fine: u16,
    /// What it cannot do without, and what it answers then.
    pub(super) fails: &'static [(Step, u16)],
    /// Which sessions are over if all is well, or at least their cookies.
    pub(super) ends: &'static [Whose],
    /// How often it may come upon one and the same fault.
    pub(super) meets: usize,
}

/// A session of those that a request is prepared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// The one that asks.
    Own,
    /// Another one of alice.
    Other,
    /// That of bob.
    His,
}

const fn row(method: &'static str, path: &'static str, fine: u16, fails: &'static [(Step, u16)]) -> Row {
    Row { method, path, body: "", cookie: true, fine, fails, ends: &[], meets: 1 }
}

const fn get(path: &'static str, fails: &'static [(Step, u16)]) -> Row {
    row("GET", path, 200, fails)
}

/// A form goes on to another page, if all is well.
const fn form(path: &'static str, body: &'static str, fails: &'static [(Step, u16)]) -> Row {
    Row { body, ..row("POST", path, 303, fails) }
}

const LOAD: &[(Step, u16)] = &[(Load, 503)];
const FORM: &str = "username=alice&password=correct+horse+battery+staple&next=%2Fhome";
const JSON: &str = r#"{"username":"alice","password":"correct horse battery staple"}"#;

const PAGES: &[Row] = &[
    get("/", LOAD),
    Row { fine: 404, ..get("/nothing", LOAD) },
    Row { fine: 303, ..get("/login", LOAD) },
    Row { cookie: false, ..get("/login", &[]) },
    Row { cookie: false, ..form("/login", FORM, &[(Create, 503)]) },
    // If the session that was there cannot be ended, the new one is to be ended.
    Row { meets: 2, ..form("/login", FORM, &[(Create, 503), (Load, 503), (Destroy, 503)]) }.ending(&[Own]),
    form("/logout", "", &[(Load, 502), (Destroy, 502)]).ending(&[Own]),
    Row { cookie: false, ..form("/logout", "", &[]) },
    get("/again?next=%2Fhome", LOAD),
    form("/again", "form={form}&password=correct+horse+battery+staple", &[(Load, 503), (Renew, 503)])
        .ending(&[Own]),
    form(
        "/again",
        "form={form}&password=correct+horse+battery+staple&then=others",
        &[(Load, 503), (Renew, 503), (DestroyAll, 503)],
    )
    .ending(&[Own, Other]),
    form(
        "/again",
        "form={form}&password=correct+horse+battery+staple&then=all",
        &[(Load, 503), (Renew, 503), (DestroyAll, 502)],
    )
    .ending(&[Own, Other]),
    get("/password", LOAD),
    Row {
        fine: 200,
        ..form(
            "/password",
            "form={form}&current=correct+horse+battery+staple\
             &password=correct+horse+battery+staple&again=correct+horse+battery+staple",
            &[(Load, 503), (Renew, 503), (DestroyAll, 503)],
        )
        .ending(&[Own, Other])
    },
    get("/sessions", &[(Load, 503), (List, 503)]),
    form("/sessions/end", "form={form}&session={own}", &[(Load, 503), (Destroy, 502)]).ending(&[Own]),
    form("/sessions/end", "form={form}&session={other}", &[(Load, 503), (Destroy, 503)]).ending(&[Other]),
    form("/sessions/others", "form={form}", &[(Load, 503), (DestroyAll, 503)]).ending(&[Other]),
    form("/sessions/all", "form={form}", &[(Load, 503), (DestroyAll, 502)]).ending(&[Own, Other]),
    // Who is logged in sees it there, if anybody can tell; the page is there whoever can.
    get("/reset?secret={link}", &[]),
    Row { fine: 200, ..form("/reset", "secret={link}&password={new}&again={new}", &[(DestroyAll, 503)]) }
        .ending(&[His]),
    get("/reset/ask", &[]),
    Row { fine: 200, ..form("/reset/ask", "username=bob", &[]) },
    get("/setup?secret={setup}", &[]),
    // The account is there then, and can log in. Who reads the page is asked for first, and need not be known.
    Row { meets: 2, ..form("/setup", "secret={setup}&username=alice&password={new}&again={new}", &[]) },
    get("/assets/style.css", &[]),
    get("/assets/page.js", &[]),
    get("/assets/logo", &[]),
    get("/openapi", &[]),
];

const ADMINISTRATION: &[Row] = &[
    get("/admin/accounts", LOAD),
    form("/admin/accounts", "form={form}&username={new}&password=correct+horse+battery+staple", LOAD),
    get("/admin/account?id={bob}", &[(Load, 503), (List, 503)]),
    form("/admin/account", "form={form}&id={bob}&change=disable", &[(Load, 503), (DestroyAll, 503)])
        .ending(&[His]),
    form("/admin/account", "form={form}&id={bob}&change=remove", &[(Load, 503), (DestroyAll, 503)])
        .ending(&[His]),
    form("/admin/account", "form={form}&id={bob}&change=end_sessions", &[(Load, 503), (DestroyAll, 503)])
        .ending(&[His]),
    get("/admin/sessions", &[(Load, 503), (Walk, 503)]),
    form("/admin/sessions", "form={form}&user={bob}&session={his}", &[(Load, 503), (Destroy, 503)])
        .ending(&[His]),
    get("/admin/events", LOAD),
    get("/api/admin/accounts", LOAD),
    Row {
        body: r#"{"name":"{new}","password":"correct horse battery staple"}"#,
        ..row("POST", "/api/admin/accounts", 201, LOAD)
    },
    get("/api/admin/accounts/{bob}", LOAD),
    Row {
        body: r#"{"disabled":true}"#,
        ..row("PATCH", "/api/admin/accounts/{bob}", 200, &[(Load, 503), (DestroyAll, 503)]).ending(&[His])
    },
    row("DELETE", "/api/admin/accounts/{bob}", 200, &[(Load, 503), (DestroyAll, 503)]).ending(&[His]),
    get("/api/admin/sessions", &[(Load, 503), (Walk, 503)]),
    get("/api/admin/sessions?account={bob}", &[(Load, 503), (List, 503)]),
    row("DELETE", "/api/admin/sessions?account={bob}", 200, &[(Load, 503), (DestroyAll, 503)]).ending(&[His]),
    row("DELETE", "/api/admin/sessions", 200, &[(Load, 503), (Walk, 503), (DestroyAll, 503)])
        .ending(&[Own, Other]),
    get("/api/admin/sessions/{his}", LOAD),
    row("DELETE", "/api/admin/sessions/{his}", 204, &[(Load, 503), (Destroy, 503)]).ending(&[His]),
    get("/api/admin/events", LOAD),
];

const API: &[Row] = &[
    get("/api/me", LOAD),
    Row { fine: 404, ..get("/api/nothing", LOAD) },
    Row { body: JSON, cookie: false, ..row("POST", "/api/auth/login", 200, &[(Create, 503)]) },
    Row {
        body: JSON,
        meets: 2,
        ..row("POST", "/api/auth/login", 200, &[(Create, 503), (Load, 503), (Destroy, 503)]).ending(&[Own])
    },
    Row { body: JSON, ..row("POST", "/api/auth/reauthenticate", 200, &[(Load, 503), (Renew, 503)]) }
        .ending(&[Own]),
    Row {
        body: r#"{"current":"correct horse battery staple","new":"correct horse battery staple"}"#,
        ..row("POST", "/api/auth/password", 200, &[(Load, 503), (Renew, 503), (DestroyAll, 503)])
            .ending(&[Own, Other])
    },
    row("DELETE", "/api/auth/logout", 200, &[(Load, 502), (Destroy, 502)]).ending(&[Own]),
    row("POST", "/api/auth/logout", 200, &[(Load, 502), (Destroy, 502)]).ending(&[Own]),
    Row { cookie: false, ..row("DELETE", "/api/auth/logout", 200, &[]) },
    get("/api/auth/sessions", &[(Load, 503), (List, 503)]),
    row("DELETE", "/api/auth/sessions?others", 200, &[(Load, 503), (DestroyAll, 503)]).ending(&[Other]),
    row("DELETE", "/api/auth/sessions", 200, &[(Load, 503), (DestroyAll, 503)]).ending(&[Own, Other]),
    row("DELETE", "/api/auth/sessions/{other}", 204, &[(Load, 503), (Destroy, 503)]).ending(&[Other]),
    row("DELETE", "/api/auth/sessions/{own}", 204, &[(Load, 503), (Destroy, 503)]).ending(&[Own]),
    Row { body: r#"{"username":"bob"}"#, ..row("POST", "/api/auth/reset", 202, &[]) },
    Row {
        body: r#"{"secret":"{link}","password":"{new}"}"#,
        ..row("POST", "/api/auth/reset/confirm", 200, &[(DestroyAll, 503)]).ending(&[His])
    },
    get("/openapi.json", &[]),
    get("/healthz", &[]),
    Row { cookie: false, ..get("/readyz", &[(Ping, 503)]) },
];

pub(super) fn table() -> impl Iterator<Item = &'static Row> {
    [PAGES, ADMINISTRATION, API].into_iter().flatten()
}

impl Row {
    const fn ending(self, ends: &'static [Whose]) -> Self {
        Self { ends, ..self }
    }

    pub(super) fn mentions(&self, what: &str) -> bool {
        self.path.contains(what) || self.body.contains(what)
    }

    /// As the router names it.
    pub(super) fn operation(&self) -> String {
        let path = self.path.split('?').next().unwrap();
        let path = ["{own}", "{other}", "{bob}", "{his}"]
            .iter()
            .fold(path.to_owned(), |path, id| path.replace(id, "{id}"));
        format!("{} {path}", self.method)
    }
}
