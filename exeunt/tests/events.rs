//! What happened, once each, with who and why, as a hook hears it.

#![expect(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

#[expect(dead_code, reason = "the tests of races stop at more points")]
#[path = "common/pausing.rs"]
mod pausing;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::{delete, get, post};
use exeunt::auth::refused_login_of;
use exeunt::http::ClientAddress;
use exeunt::store::Store;
use exeunt::{
    By, Client, Event, EventKind, Extend, Lifetime, LoginOptions, ManualClock, MemoryStore, Origin, Session,
    SessionLayer, Sessions, Timestamp, UserId, Users, UsersError, Verified, Visitor,
};
use http::{Request, StatusCode};
use tower::ServiceExt as _;

use crate::pausing::{At, PausingStore, Side};

const START: Timestamp = Timestamp::from_secs(1_767_225_600);

/// Knows alice and carol by the right password, and bob, who is disabled.
struct People;

impl Users for People {
    type Credentials = &'static str;

    async fn verify(&self, given: &'static str) -> Result<Option<Verified>, UsersError> {
        Ok(match given {
            "alice" => Some(Verified::new(UserId::from(1), 0).named("alice")),
            "late" => Some(Verified::new(UserId::from(1), 1).named("alice")),
            "carol" => Some(Verified::new(UserId::from(3), 0).named("carol")),
            "bob" => {
                refused_login_of(&UserId::from(2), "bob", "disabled");
                None
            }
            _ => None,
        })
    }

    async fn is_current(&self, verified: &Verified) -> Result<bool, UsersError> {
        Ok(verified.stamp() == 0)
    }
}

/// Sessions, their clock, and what a hook has heard.
struct Stage {
    sessions: Sessions,
    clock: Arc<ManualClock>,
    heard: Arc<Mutex<Vec<Event>>>,
}

impl Stage {
    fn new() -> Self {
        Self::over(MemoryStore::new())
    }

    fn over(store: impl Store) -> Self {
        let clock = Arc::new(ManualClock::at(START));
        let sessions = Sessions::new(store).clock(clock.clone()).limit(2);
        let heard = Arc::<Mutex<Vec<Event>>>::default();
        let hears = Arc::clone(&heard);
        sessions.on_event(move |event| hears.lock().unwrap().push(event.clone()));
        Self { sessions, clock, heard }
    }

    async fn login(&self) -> exeunt::LoggedIn {
        self.sessions.login(&People, "alice", LoginOptions::default()).await.unwrap().unwrap()
    }

    /// What was heard since this was asked last.
    async fn heard(&self) -> Vec<Event> {
        self.sessions.events().told().await;
        std::mem::take(&mut *self.heard.lock().unwrap())
    }

    /// The only event since this was asked last.
    async fn one(&self) -> Event {
        let [event] = <[Event; 1]>::try_from(self.heard().await).unwrap();
        event
    }
}

/// The parts that a test asks for most.
fn what(event: &Event) -> (EventKind, Option<&str>, Option<&str>) {
    (event.kind, event.user.as_ref().map(UserId::as_str), event.reason)
}

#[tokio::test] // R38, R51
async fn a_login_is_told_once_whether_it_went_well_or_not() {
    let stage = Stage::new();
    let login = stage.login().await;
    let event = stage.one().await;
    assert_eq!(what(&event), (EventKind::LoggedIn, Some("1"), None));
    assert_eq!((event.session, event.name.as_deref()), (Some(login.record.id()), Some("alice")));
    assert_eq!((event.by, event.at), (Some(By::Owner), START));

    for (given, user, reason) in [
        ("eve", None, "credentials"),
        ("bob", Some("2"), "disabled"),
        ("late", Some("1"), "no_longer_current"),
    ] {
        // Whoever's request it is in.
        let refused = stage.sessions.login(&People, given, LoginOptions::default());
        assert!(Origin::default().by(By::Owner).scope(refused).await.unwrap().is_none());
        let event = stage.one().await;
        assert_eq!(what(&event), (EventKind::LoginRefused, user, Some(reason)));
        assert_eq!(event.by, None, "who it was is not known");
        assert_eq!(event.name.is_some(), user.is_some(), "never what somebody typed");
    }
}

#[tokio::test] // R38, R51
async fn each_end_of_a_session_is_told_once_with_who_and_why() {
    let stage = Stage::new();
    let user = UserId::from(1);
    // Logout; then the token is dead.
    let login = stage.login().await;
    stage.heard().await;
    assert!(stage.sessions.logout(&login.token).await.unwrap());
    let event = stage.one().await;
    assert_eq!(what(&event), (EventKind::LoggedOut, Some("1"), None));
    assert_eq!((event.session, event.by), (Some(login.record.id()), Some(By::Owner)));
    assert!(stage.sessions.resume(&login.token, Extend::No).await.unwrap().is_none());
    let event = stage.one().await;
    assert_eq!(what(&event), (EventKind::TokenRefused, None, Some("gone")));
    assert_eq!((event.session, event.by), (Some(login.record.id()), None));
    // The limit of two.
    let first = stage.login().await.record.id();
    stage.clock.advance(Duration::from_secs(1));
    let _ = stage.login().await;
    stage.heard().await;
    let third = stage.login().await;
    let [begun, ended] = <[Event; 2]>::try_from(stage.heard().await).unwrap();
    assert_eq!(begun.kind, EventKind::LoggedIn);
    assert_eq!(what(&ended), (EventKind::SessionEnded, Some("1"), Some("limit")));
    assert_eq!((ended.session, ended.by), (Some(first), Some(By::System)));
    // A login from within a session.
    let options = LoginOptions { replaces: Some(&third.token), ..LoginOptions::default() };
    let fourth = stage.sessions.login(&People, "alice", options).await.unwrap().unwrap().record.id();
    let heard = stage.heard().await;
    let ends = |reason: &str| heard.iter().filter(|event| event.reason == Some(reason)).count();
    assert_eq!((heard.len(), ends("login"), ends("limit")), (3, 1, 1), "{heard:?}");
    // One by its owner, an administrator, an operator: whoever the task is of.
    let admin = By::Admin(UserId::from(9), "root".to_owned());
    for (by, reason) in [(By::Owner, "owner"), (admin, "administrator"), (By::Operator, "operator")] {
        let session = stage.login().await.record.id();
        stage.heard().await;
        let end = stage.sessions.end(&user, &session);
        assert!(Origin::default().by(by.clone()).scope(end).await.unwrap());
        let event = stage.one().await;
        assert_eq!(what(&event), (EventKind::SessionEnded, Some("1"), Some(reason)));
        assert_eq!((event.session, event.by), (Some(session), Some(by)));
        assert!(!stage.sessions.end(&user, &session).await.unwrap());
        assert_eq!(stage.heard().await, [], "twice is not told twice");
    }
    // All of them, because of something.
    let ended = stage.sessions.logout_all_because(&user, None, "password_changed").await.unwrap();
    assert_eq!(ended, [fourth]);
    assert_eq!(what(&stage.one().await), (EventKind::SessionEnded, Some("1"), Some("password_changed")));
}

/// How a session ends: whether, or how many, this call ended.
async fn end(sessions: Sessions, login: Arc<exeunt::LoggedIn>, how: &'static str) -> usize {
    let (user, id) = (login.record.user(), login.record.id());
    match how {
        "logout" => usize::from(sessions.logout(&login.token).await.unwrap()),
        "end" => usize::from(sessions.end(user, &id).await.unwrap()),
        _ => sessions.logout_all_because(user, None, "account_disabled").await.unwrap().len(),
    }
}

#[tokio::test]
async fn of_two_ends_of_a_session_at_the_same_time_one_is_told() {
    // R38, R51
    let (store, points) = PausingStore::over(MemoryStore::new());
    let stage = Stage::over(store);
    for first in ["logout", "end"] {
        for second in ["logout", "end", "all"] {
            let login = Arc::new(stage.login().await);
            stage.heard().await;
            // The first one has found the session alive, and is overtaken.
            let pause = points.pause(At::Destroy(Side::Before));
            let overtaken = tokio::spawn(end(stage.sessions.clone(), Arc::clone(&login), first));
            pause.reached().await;
            assert_eq!(end(stage.sessions.clone(), Arc::clone(&login), second).await, 1);
            pause.go_on();
            assert_eq!(overtaken.await.unwrap(), 0);
            let heard = stage.heard().await;
            let ends = [EventKind::LoggedOut, EventKind::SessionEnded];
            let told = heard.iter().filter(|event| ends.contains(&event.kind)).count();
            assert_eq!(told, 1, "{first} and {second}: {heard:?}");
        }
    }
}

#[tokio::test] // R38, R51
async fn a_session_that_expired_is_told_once_and_one_that_is_renewed_too() {
    let stage = Stage::new();
    let login = stage.login().await;
    stage.heard().await;
    let _ = stage.sessions.renew(&login.record).await.unwrap().unwrap();
    assert_eq!(what(&stage.one().await), (EventKind::SessionRenewed, Some("1"), None));
    // The old secret.
    stage.sessions.resume(&login.token, Extend::No).await.unwrap();
    assert_eq!(what(&stage.one().await), (EventKind::TokenRefused, None, Some("secret")));

    let lifetime = Lifetime::default();
    stage.clock.advance(lifetime.absolute() + Duration::from_secs(3600));
    for told in [1, 0] {
        let _ = stage.sessions.purge().await.unwrap();
        let heard = stage.heard().await;
        assert_eq!(heard.len(), told);
        for event in heard {
            assert_eq!(what(&event), (EventKind::SessionEnded, None, Some("expired")));
            assert_eq!((event.session, event.by), (Some(login.record.id()), Some(By::System)));
        }
    }
}

#[tokio::test] // R38
async fn a_login_again_is_told_once_whether_it_went_well_or_not() {
    let stage = Stage::new();
    let record = stage.login().await.record;
    stage.heard().await;
    let again = |given| stage.sessions.reauthenticate(&People, given, &record);
    for (given, user, reason) in
        [("eve", None, "credentials"), ("bob", Some("2"), "disabled"), ("carol", None, "another_account")]
    {
        assert!(again(given).await.unwrap().is_none());
        let event = stage.one().await;
        assert_eq!(what(&event), (EventKind::LoginRefused, user, Some(reason)));
        assert_eq!((event.session, event.by), (Some(record.id()), None));
        assert_eq!(event.name.as_deref(), user.map(|_| "bob"));
    }
    assert!(again("late").await.is_err());
    let [renewed, ended] = <[Event; 2]>::try_from(stage.heard().await).unwrap();
    assert_eq!(what(&renewed), (EventKind::SessionRenewed, Some("1"), None));
    assert_eq!(what(&ended), (EventKind::SessionEnded, Some("1"), Some("no_longer_current")));
    assert_eq!((ended.session, ended.by), (Some(record.id()), Some(By::System)));
}

#[tokio::test] // R38
async fn an_event_tells_where_its_request_came_from_also_from_a_task_of_its_own() {
    async fn log_in(visitor: Visitor) -> StatusCode {
        visitor.login(&People, "alice").await.unwrap().unwrap();
        StatusCode::OK
    }
    async fn log_out(visitor: Visitor) -> exeunt::Logout {
        visitor.logout().await
    }
    async fn all(session: Session) -> StatusCode {
        session.logout_everywhere().await.unwrap();
        StatusCode::OK
    }
    let stage = Stage::new();
    let app: Router = Router::new()
        .route("/", get(async |session: Session| session.name().to_owned()))
        .route("/login", post(log_in))
        .route("/logout", delete(log_out))
        .route("/all", delete(all))
        .layer(SessionLayer::new(stage.sessions.clone()));
    let address: IpAddr = "192.0.2.7".parse().unwrap();
    let ask = async |method: &str, path: &str, headers: &[(&str, &str)]| {
        let mut request = Request::builder().method(method).uri(path).extension(ClientAddress(address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.header("user-agent", "Tester/1").body(Body::empty()).unwrap();
        // As a server does that numbers its requests.
        Origin::default().request("r-1").scope(app.clone().oneshot(request)).await.unwrap()
    };
    let cookie = async || {
        let answer = ask("POST", "/login", &[]).await;
        answer.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned()
    };
    let first = cookie().await;
    ask("DELETE", "/logout", &[("cookie", &first)]).await;
    ask("GET", "/", &[("cookie", &first)]).await;
    let second = cookie().await;
    ask("DELETE", "/all", &[("cookie", &second)]).await;
    let forged = ask("POST", "/login", &[("sec-fetch-site", "cross-site")]).await;
    assert_eq!(forged.status(), StatusCode::FORBIDDEN);
    let forged_by_an_old_browser = [("origin", "https://evil.example"), ("host", "app.example.org")];
    assert_eq!(ask("POST", "/login", &forged_by_an_old_browser).await.status(), StatusCode::FORBIDDEN);

    let heard = stage.heard().await;
    let kinds: Vec<_> = heard.iter().map(|event| (event.kind, event.reason, event.by.clone())).collect();
    assert_eq!(
        kinds,
        [
            (EventKind::LoggedIn, None, Some(By::Owner)),
            (EventKind::LoggedOut, None, Some(By::Owner)),
            (EventKind::TokenRefused, Some("gone"), None),
            (EventKind::LoggedIn, None, Some(By::Owner)),
            (EventKind::SessionEnded, Some("logout_all"), Some(By::Owner)),
            (EventKind::CrossSiteRefused, Some("sec_fetch_site"), None),
            (EventKind::CrossSiteRefused, Some("origin"), None),
        ]
    );
    for event in heard {
        assert_eq!((event.address, event.request.as_deref()), (Some(address), Some("r-1")), "{event:?}");
        assert_eq!(event.client.as_ref().map(Client::as_str), Some("Tester/1"));
    }
}

#[tokio::test] // R51
async fn a_hook_that_hangs_or_panics_holds_up_nobody_and_what_it_misses_is_counted() {
    let sessions = Sessions::new(MemoryStore::new());
    let (go_on, wait) = channel::<()>();
    let (hangs, hanging) = channel();
    sessions.on_event(move |event| {
        if event.kind == EventKind::LoggedIn {
            hangs.send(()).unwrap();
            wait.recv().unwrap();
            panic!("on purpose");
        }
    });
    let heard = Arc::<Mutex<Vec<EventKind>>>::default();
    let hears = Arc::clone(&heard);
    sessions.on_event(move |event| hears.lock().unwrap().push(event.kind));

    let login = sessions.login(&People, "alice", LoginOptions::default()).await.unwrap().unwrap();
    hanging.recv().unwrap();
    assert_eq!(sessions.events().dropped(), 0);
    assert!(sessions.logout(&login.token).await.unwrap(), "while the hook hangs");
    // One more than there is room for, beside the logout.
    for _ in 0..8_192 {
        sessions.events().report(Event::new(EventKind::Throttled));
    }
    assert_eq!(sessions.events().dropped(), 1);
    go_on.send(()).unwrap();
    sessions.events().told().await;
    let heard = heard.lock().unwrap();
    assert_eq!(heard.first_chunk(), Some(&[EventKind::LoggedIn, EventKind::LoggedOut]), "the other hook");
    assert_eq!(heard.len(), 2 + 8_191);
}

#[tokio::test] // R39
async fn no_text_of_an_event_can_forge_a_line() {
    let stage = Stage::new();
    let evil = "a\r\n{\"event\":\"login\"}\u{1b}[2J\u{202e}\u{85}\u{2028}";
    let mut event = Event::new(EventKind::AccountAdded).named(evil);
    event.name = event.name.map(|name| name + evil);
    let origin = Origin::default().client(Client::new(evil)).by(By::Admin(UserId::from(1), evil.to_owned()));
    origin.within(|| stage.sessions.events().report(event));
    let event = stage.one().await;
    let Some(By::Admin(_, by)) = &event.by else { panic!("{event:?}") };
    for text in [event.name.as_deref().unwrap(), event.client.as_ref().unwrap().as_str(), by] {
        let forges = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{202e}');
        assert!(!text.contains(forges) && text.contains("login"), "{text:?}");
    }
}

/// What is written to a log in the meantime, in this thread, a JSON object a line.
fn logged(report: impl FnOnce()) -> Vec<serde_json::Value> {
    let log = tempfile::NamedTempFile::new().unwrap();
    let writer = Arc::new(log.reopen().unwrap());
    let subscriber = tracing_subscriber::fmt().json().flatten_event(true).with_writer(writer);
    tracing::subscriber::with_default(subscriber.finish(), report);
    let text = std::fs::read_to_string(log.path()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test] // R38
async fn each_event_is_one_line_of_the_log() {
    let stage = Stage::new();
    let admin = By::Admin(UserId::from(9), "root".to_owned());
    let origin = Origin::default().at([192, 0, 2, 7].into()).client(Client::new("Tester/1"));
    let session = stage.login().await.record.id();
    let report = |event| logged(|| origin.clone().within(|| stage.sessions.events().report(event)));

    let ended = Event::new(EventKind::SessionEnded).of(&UserId::from(1)).session(session);
    let [line] = <[_; 1]>::try_from(report(ended.named("alice").because("limit").by(admin))).unwrap();
    for (field, expected) in [
        ("level", "INFO"),
        ("message", "session ended"),
        ("event", "session_ended"),
        ("reason", "limit"),
        ("user", "1"),
        ("session", &session.to_string()),
        ("name", "alice"),
        ("by", "administrator"),
        ("administrator", "9"),
        ("client", "192.0.2.7"),
        ("agent", "Tester/1"),
    ] {
        assert_eq!(line[field], expected, "{field}: {line}");
    }

    let warnings = [EventKind::CrossSiteRefused, EventKind::Throttled, EventKind::DeadToken];
    for kind in EventKind::ALL {
        let [line] = <[_; 1]>::try_from(report(Event::new(kind).by(By::Owner))).unwrap();
        assert_eq!(line["level"], if warnings.contains(&kind) { "WARN" } else { "INFO" }, "{line}");
        assert_eq!((&line["event"], &line["by"]), (&kind.as_str().into(), &"owner".into()));
        assert!(line.get("administrator").is_none() && line.get("user").is_none(), "{line}");
    }
    let lines = report(Event::new(EventKind::LoggedIn).by(By::System));
    assert_eq!(lines[0]["by"], "system");
}

#[tokio::test] // R38
async fn an_event_has_the_time_of_its_sessions_unless_it_has_its_own() {
    let stage = Stage::new();
    let events = stage.sessions.events();
    assert_eq!(events.now(), START);
    assert!(format!("{events:?}").contains("dropped: 0"), "{events:?}");
    let mut earlier = Event::new(EventKind::DeadToken);
    earlier.at = Timestamp::from_secs(7);
    events.report(earlier.clone());
    assert_eq!(stage.one().await, earlier);
}

#[test]
fn each_kind_has_a_word_of_its_own() {
    let words: BTreeSet<_> = EventKind::ALL.iter().map(|kind| kind.as_str()).collect();
    assert_eq!(words.len(), EventKind::ALL.len());
    assert!(words.iter().all(|word| word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')));
}
