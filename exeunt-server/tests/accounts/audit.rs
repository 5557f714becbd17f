//! The audit table on every combination of engines: what happened, once each, whoever was away meanwhile.

use std::sync::Arc;
use std::time::Duration;

use exeunt::store::Store;
use exeunt::{
    By, Client, Clock as _, Event, EventKind, Extend, Lifetime, LoginOptions, ManualClock, Origin, Sessions,
    SystemClock, Timestamp, Token, UserId,
};
use exeunt_server::accounts::{Accounts, Audit, Cost, Credentials, EventLine, EventQuery, Hasher, Whose};
use exeunt_server::engines::Engines;
use services::Postgres;
use tempfile::TempDir;

use crate::common::{Kept, Places, on_every_engine};

on_every_engine!(async
    each_thing_that_happens_is_in_the_table_once_with_who_and_why,
    a_dead_token_is_told_once_whichever_node_it_comes_to_and_a_guess_never,
    events_are_given_in_pages_and_of_one_account_alone,
    old_events_are_forgotten_a_step_at_a_time_and_younger_ones_stay,
);

const CHEAP: Cost = Cost { memory_kib: 8, passes: 1, lanes: 1 };
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What one node has, and the clock of all.
struct Node {
    accounts: Accounts,
    sessions: Sessions,
    clock: Arc<ManualClock>,
    audit: Audit,
}

impl Node {
    async fn new(engines: &Engines, store: Arc<dyn Store>, now: Timestamp) -> Self {
        let clock = Arc::new(ManualClock::at(now));
        let sessions = Sessions::over(store).clock(clock.clone());
        let accounts = engines.accounts(&sessions, Hasher::with(CHEAP, 2, 100).unwrap()).await.unwrap();
        let audit = accounts.audit();
        Self { accounts, sessions, clock, audit }
    }

    async fn login(&self, name: &str, password: &str) -> Option<exeunt::LoggedIn> {
        let given = Credentials { username: name.to_owned(), password: password.to_owned() };
        self.sessions.login(&self.accounts, given, LoginOptions::default()).await.unwrap()
    }

    /// Stops it, and gives all events, oldest first.
    async fn events(self) -> Vec<EventLine> {
        assert_eq!(self.audit.lost(), 0);
        self.audit.stop().await;
        all(&self.accounts).await
    }
}

async fn all(accounts: &Accounts) -> Vec<EventLine> {
    let query = EventQuery { after: Some(0), limit: 100_000, ..EventQuery::default() };
    accounts.events(&query).await.unwrap()
}

struct Stage {
    engines: Engines,
    store: Arc<dyn Store>,
    now: Timestamp,
    _folder: TempDir,
}

impl Stage {
    async fn new(kept: Kept) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::at(&kept.fresh(folder.path()), folder).await
    }

    async fn at(places: &Places, folder: TempDir) -> Self {
        let engines = places.open().await;
        let store = engines.store(1 << 20).await.unwrap();
        // Redis frees by its own clock, so this one begins at the same time.
        Self { engines, store, now: SystemClock::new().now(), _folder: folder }
    }

    async fn node(&self) -> Node {
        Node::new(&self.engines, Arc::clone(&self.store), self.now).await
    }
}

/// What, whose, why, by whom.
type Told<'a> = [Option<&'a str>; 4];

fn kinds(events: &[EventLine]) -> Vec<Told<'_>> {
    fn told(event: &EventLine) -> Told<'_> {
        let EventLine { event, account, reason, by, .. } = event;
        [Some(event), account.as_deref(), reason.as_deref(), by.as_deref()]
    }
    events.iter().map(told).collect()
}

async fn each_thing_that_happens_is_in_the_table_once_with_who_and_why(kept: Kept) {
    // R19, R20, R38
    let stage = Stage::new(kept).await;
    let node = stage.node().await;
    let (accounts, sessions) = (&node.accounts, &node.sessions);
    let origin = Origin::default().at("192.0.2.7".parse().unwrap()).request("r-1").client(Client::new("T/1"));
    let by_operator = Origin::default().by(By::Operator);
    let by_admin = Origin::default().by(By::Admin(UserId::from(9), "root".to_owned()));

    for (name, admin) in [("root", true), ("alice", false)] {
        let add = accounts.add(name, "secret words", admin, stage.now);
        by_operator.clone().scope(add).await.unwrap();
    }
    let requests = async {
        assert!(node.login("alice", "wrong").await.is_none());
        assert!(node.login("nobody", "secret words").await.is_none());
        let login = node.login("alice", "secret words").await.unwrap();
        assert!(sessions.logout(&login.token).await.unwrap());
        sessions.events().report(Event::new(EventKind::CrossSiteRefused).because("origin"));
        sessions.events().report(Event::new(EventKind::Throttled).because("address"));
    };
    origin.scope(requests).await;
    for change in ["disable", "password", "remove"] {
        let _ = node.login("alice", "secret words").await.unwrap();
        match change {
            "disable" => {
                assert_eq!(by_admin.clone().scope(accounts.disable("alice")).await.unwrap(), 1);
                assert!(node.login("alice", "secret words").await.is_none());
                by_admin.clone().scope(accounts.enable("alice")).await.unwrap();
            }
            "password" => {
                let set = by_operator.clone().scope(accounts.set_password("alice", "secret words"));
                assert_eq!(set.await.unwrap(), 1);
            }
            _ => assert_eq!(by_operator.clone().scope(accounts.remove("alice")).await.unwrap(), 1),
        }
    }
    let events = node.events().await;
    let (alice, operator, owner, admin) =
        (Some("alice"), Some("operator"), Some("owner"), Some("administrator"));
    assert_eq!(
        kinds(&events),
        [
            [Some("account_added"), Some("root"), Some("administrator"), operator],
            [Some("account_added"), alice, None, operator],
            [Some("login_refused"), alice, Some("password"), None],
            [Some("login_refused"), None, Some("credentials"), None],
            [Some("login"), alice, None, owner],
            [Some("logout"), alice, None, owner],
            [Some("cross_site_refused"), None, Some("origin"), None],
            [Some("throttled"), None, Some("address"), None],
            [Some("login"), alice, None, owner],
            [Some("account_disabled"), alice, None, admin],
            [Some("session_ended"), alice, Some("account_disabled"), admin],
            [Some("login_refused"), alice, Some("disabled"), None],
            [Some("account_enabled"), alice, None, admin],
            [Some("login"), alice, None, owner],
            [Some("password_set"), alice, None, operator],
            [Some("session_ended"), alice, Some("password_set"), operator],
            [Some("login"), alice, None, owner],
            [Some("account_removed"), alice, None, operator],
            [Some("session_ended"), alice, Some("account_removed"), operator],
        ]
    );
    for event in events.iter().skip(2).take(6) {
        assert_eq!(event.address.as_deref(), Some("192.0.2.7"), "{event}");
        assert_eq!((event.request.as_deref(), event.client.as_deref()), (Some("r-1"), Some("T/1")));
    }
    for event in &events {
        assert_eq!(event.by_name.as_deref() == Some("root"), event.by.as_deref() == admin, "{event}");
        assert_eq!(event.at, stage.now);
        assert!(!format!("{event}{event:?}").contains("secret"), "{event}");
    }
}

async fn a_dead_token_is_told_once_whichever_node_it_comes_to_and_a_guess_never(kept: Kept) {
    // R38
    let stage = Stage::new(kept).await;
    let (one, other) = (stage.node().await, stage.node().await);
    one.accounts.add("alice", "secret words", false, stage.now).await.unwrap();
    let use_dead = async |node: &Node, token: &Token| {
        assert!(node.sessions.resume(token, Extend::No).await.unwrap().is_none());
    };
    let login = one.login("alice", "secret words").await.unwrap();
    assert!(one.sessions.logout(&login.token).await.unwrap());
    for _ in 0..3 {
        use_dead(&one, &login.token).await;
    }
    // One that expired, by another clock than the store's, and one that nobody ever had.
    let expired = one.login("alice", "secret words").await.unwrap();
    for node in [&one, &other] {
        node.clock.advance(Lifetime::default().absolute() + Duration::from_secs(1));
    }
    one.sessions.logout_all(&UserId::from(1), None).await.unwrap();
    let _ = one.sessions.purge().await.unwrap();
    one.audit.stop().await;

    use_dead(&other, &login.token).await;
    use_dead(&other, &expired.token).await;
    let elsewhere = Sessions::new(exeunt::MemoryStore::new());
    let options = LoginOptions::default();
    let given = Credentials { username: "alice".to_owned(), password: "secret words".to_owned() };
    let stranger = elsewhere.login(&other.accounts, given, options).await.unwrap().unwrap();
    use_dead(&other, &stranger.token).await;
    let events = other.events().await;
    let dead: Vec<_> = events.iter().filter(|event| event.event == "dead_token").collect();
    let of = |id| dead.iter().filter(|event| event.session == Some(id)).count();
    assert_eq!((dead.len(), of(login.record.id())), (1 + of(expired.record.id()), 1), "{dead:?}");
    let ended = events
        .iter()
        .any(|event| event.session == Some(expired.record.id()) && event.event == "session_ended");
    assert_eq!(
        of(expired.record.id()),
        usize::from(ended),
        "what is known to have ended is told, and no more"
    );
    for event in dead {
        assert_eq!((event.account.as_deref(), event.user.as_deref()), (Some("alice"), Some("1")), "{event}");
    }
}

async fn events_are_given_in_pages_and_of_one_account_alone(kept: Kept) {
    let stage = Stage::new(kept).await;
    let node = stage.node().await;
    for name in ["alice", "bob"] {
        node.accounts.add(name, "secret words", false, stage.now).await.unwrap();
    }
    for _ in 0..3 {
        node.clock.advance(Duration::from_secs(60));
        let _ = node.login("alice", "secret words").await.unwrap();
        let _ = node.login("bob", "secret words").await.unwrap();
    }
    node.accounts.remove("bob").await.unwrap();
    let accounts = node.accounts.clone();
    let everything = node.events().await;
    assert_eq!(everything.len(), 2 + 6 + 1 + 3);
    let ask = async |query: EventQuery| accounts.events(&query).await.unwrap();
    // Newest first, from page to page.
    let mut paged: Vec<EventLine> = Vec::new();
    loop {
        let before = paged.last().map(|event| event.id);
        let page = ask(EventQuery { before, limit: 5, ..EventQuery::default() }).await;
        assert!(page.len() <= 5);
        if page.is_empty() {
            break;
        }
        paged.extend(page);
    }
    paged.reverse();
    assert_eq!(paged, everything);
    // Of one; and of one that is gone, by name.
    for (name, whose, many) in
        [("alice", Whose::User("1".to_owned()), 4), ("bob", Whose::Named("bob".to_owned()), 8)]
    {
        assert_eq!(accounts.whose(name).await.unwrap(), whose);
        let query = EventQuery { whose: Some(whose), limit: 100, ..EventQuery::default() };
        let events = ask(query).await;
        assert_eq!(events.len(), many);
        assert!(events.iter().all(|event| event.account.as_deref() == Some(name)), "{events:?}");
    }
    // From a time on.
    let since = Some(stage.now.plus(Duration::from_secs(120)));
    let late = ask(EventQuery { since, limit: 100, ..EventQuery::default() }).await;
    assert_eq!(late.len(), 4 + 1 + 3);
    let future = Some(stage.now.plus(DAY));
    assert_eq!(ask(EventQuery { since: future, limit: 100, ..EventQuery::default() }).await, []);
}

async fn old_events_are_forgotten_a_step_at_a_time_and_younger_ones_stay(kept: Kept) {
    // R60
    let stage = Stage::new(kept).await;
    let node = stage.node().await;
    for _ in 0..700 {
        node.sessions.events().report(Event::new(EventKind::Throttled));
    }
    node.sessions.events().told().await;
    node.clock.advance(DAY);
    node.accounts.add("alice", "secret words", false, stage.now).await.unwrap();
    let accounts = node.accounts.clone();
    assert_eq!(node.events().await.len(), 701);
    assert_eq!(accounts.purge_events(stage.now).await.unwrap(), 0);
    let before = stage.now.plus(DAY);
    for purged in [500, 200, 0] {
        assert_eq!(accounts.purge_events(before).await.unwrap(), purged);
    }
    assert_eq!(kinds(&all(&accounts).await), [[Some("account_added"), Some("alice"), None, None]]);
}

#[tokio::test] // R38, R02
async fn a_logout_waits_for_no_audit_and_what_happened_meanwhile_is_written_once_the_database_is_back() {
    let postgres = Postgres::start(&[]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sessions.db").to_str().unwrap().to_owned();
    let url = format!("{}?deadline=200ms&pool=2", postgres.url("postgres"));
    let stage = Stage::at(&Places { store: file, accounts: Some(url) }, folder).await;
    let node = stage.node().await;
    node.accounts.add("alice", "secret words", false, stage.now).await.unwrap();
    let logins = [
        node.login("alice", "secret words").await.unwrap(),
        node.login("alice", "secret words").await.unwrap(),
    ];
    postgres.pause().unwrap();
    for login in &logins {
        assert!(node.sessions.logout(&login.token).await.unwrap(), "the sessions are elsewhere");
    }
    node.sessions.events().told().await;
    postgres.go_on().unwrap();
    let events = node.events().await;
    let of = |kind: &str| events.iter().filter(|event| event.event == kind).count();
    assert_eq!((of("account_added"), of("login"), of("logout"), events.len()), (1, 2, 2, 5), "{events:?}");
}
