//! Whatever the sessions' store does to one step of a request, each route answers by the table: after one deadline for each
//! time that it meets a step that hangs, and never that somebody is logged out who may not be.
//!
//! Must never leave a route out: what there is, the router says.

#[path = "../../../exeunt/tests/common/faulty.rs"]
mod faulty;
mod table;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;

use axum::body::Body;
use exeunt::store::sqlite::Database;
use exeunt::{CookieConfig, ManualClock, SessionLayer, Sessions, UserId};
use tower::ServiceExt as _;

use self::faulty::{Broken, DEADLINE, FOR_EVER, Fate, FaultyStore, Step};
use self::table::{RIGHT, Row, Whose, table};
use super::*;
use crate::accounts::{Accounts, Cost, Hasher, ResetAsked};
use crate::config::{Config, Options};
use crate::mail::Outbox;

const CHEAP: Cost = Cost { memory_kib: 8, passes: 1, lanes: 1 };

/// It fails at once, its answer is lost, it hangs before or after it happens, it happens after its deadline and whatever
/// came next, or it is merely slow.
const FAULTS: [Fate; 6] = [
    Fate { happens: false, ..Fate::FINE },
    Fate { answers: false, ..Fate::FINE },
    Fate { wait: FOR_EVER, ..Fate::FINE },
    Fate { then: FOR_EVER, ..Fate::FINE },
    Fate { wait: LATE, ..Fate::FINE },
    Fate { wait: SLOW, ..Fate::FINE },
];
const LATE: Duration = DEADLINE.saturating_mul(3);
const SLOW: Duration = Duration::from_secs(1);
/// What the rest of a request takes at most, which is asked of real files.
const THE_REST: Duration = Duration::from_secs(30);

/// The same accounts, which send their messages into that folder.
fn mailing(accounts: Accounts, folder: &Path, clock: &Arc<ManualClock>) -> (Accounts, Outbox) {
    let options = Options { mail_dir: Some(folder.to_owned()), ..Options::default() };
    let outbox = Outbox::open(&Config::decide(options).unwrap(), Arc::<ManualClock>::clone(clock)).unwrap();
    (accounts.mailing(outbox.clone()).resetting("https://h", Duration::from_secs(600)), outbox)
}

struct Server {
    state: AppState,
    router: Router,
    store: Arc<FaultyStore>,
    clock: Arc<ManualClock>,
    /// How many names were taken.
    names: u32,
    folder: tempfile::TempDir,
}

struct Answer {
    status: u16,
    cookie: Option<String>,
    body: String,
}

/// A request, and the cookies of those whom it may concern.
struct Prepared {
    path: String,
    body: String,
    cookies: Vec<(Whose, String)>,
}

impl Prepared {
    fn cookie(&self, whose: Whose) -> &str {
        let (_, cookie) = self.cookies.iter().find(|(other, _)| *other == whose).unwrap();
        cookie
    }
}

impl Server {
    /// Without any account.
    async fn new(broken: Broken) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(folder.path().join("accounts.db")).unwrap();
        let mut store = FaultyStore::new(broken);
        store.in_real_time = true;
        let store = Arc::new(store);
        let clock = Arc::new(ManualClock::default());
        let sessions =
            Sessions::over(Arc::<FaultyStore>::clone(&store)).clock(Arc::<ManualClock>::clone(&clock));
        // One of its own, so that it shows that it was asked for.
        let options = Options { logout_failure_status: Some(502), ..Options::default() };
        let config = Config::decide(options).unwrap();
        let accounts = Accounts::open(database, Hasher::with(CHEAP, 2, 100).unwrap()).await.unwrap();
        let accounts = mailing(accounts.apart_from(sessions.clone()), &folder.path().join("mail"), &clock).0;
        let site = Arc::new(Site::new(&config, sessions.now()).unwrap());
        let cookie = CookieConfig::default().name("session").secure(false);
        let layer = SessionLayer::new(sessions).cookie(cookie).unwrap();
        let state = AppState { layer, accounts, site };
        Self { router: router(state.clone()), state, store, clock, names: 0, folder }
    }

    /// With alice, who is an administrator.
    async fn with_alice(broken: Broken) -> Self {
        let server = Self::new(broken).await;
        server.state.accounts.add("alice", RIGHT, true, server.state.layer.sessions().now()).await.unwrap();
        server
    }

    async fn send(&self, method: &str, path: &str, cookie: Option<&str>, body: String) -> Answer {
        let kind =
            if body.starts_with('{') { "application/json" } else { "application/x-www-form-urlencoded" };
        let mut request = Request::builder().method(method).uri(path);
        if !body.is_empty() {
            request = request.header("content-type", kind);
        }
        if let Some(cookie) = cookie {
            request = request.header("cookie", cookie);
        }
        let response = self.router.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
        let cookie = response.headers().get("set-cookie").map(|cookie| cookie.to_str().unwrap());
        let cookie = cookie.map(|cookie| cookie.split(';').next().unwrap().to_owned());
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        Answer { status, cookie, body: String::from_utf8_lossy(&body).into_owned() }
    }

    async fn me(&self, cookie: &str) -> u16 {
        self.send("GET", "/api/me", Some(cookie), String::new()).await.status
    }

    /// A new session's cookie and id.
    async fn login(&self, user: &UserId) -> (String, String) {
        let layer = &self.state.layer;
        let request = exeunt::testing::logged_in(layer, user.clone(), Request::new(())).await.unwrap();
        let cookie = request.headers().get("cookie").unwrap().to_str().unwrap().to_owned();
        let newest = layer.sessions().list(user).await.unwrap().iter().map(exeunt::Record::id).max();
        (cookie, newest.unwrap().to_string())
    }

    async fn prepared(&mut self, row: &Row) -> Prepared {
        let accounts = self.state.accounts.clone();
        let sessions = self.state.layer.sessions().clone();
        self.names += 1;
        let new = format!("somebody new, {}", self.names);
        let mut filled = vec![("{new}", new.clone())];
        if row.mentions("{setup}") {
            filled.push(("{setup}", accounts.new_setup_link(sessions.now()).await.unwrap().expose()));
        }
        let alice = UserId::from(1);
        let (others_cookie, other) = self.login(&alice).await;
        let (cookie, own) = self.login(&alice).await;
        filled.extend([("{other}", other), ("{own}", own)]);
        let mut cookies = vec![(Whose::Other, others_cookie), (Whose::Own, cookie)];
        if row.mentions("{form}") {
            let page = self.send("GET", "/password", Some(&cookies[1].1), String::new()).await.body;
            let form = page.split(r#"name="form" value=""#).nth(1).unwrap().split('"').next().unwrap();
            filled.push(("{form}", form.to_owned()));
        }
        if row.mentions("{bob}") || row.mentions("{his}") || row.mentions("{link}") {
            let (name, email) = (format!("bob {}", self.names), format!("bob{}@example.org", self.names));
            let bob = accounts.add_with_email(&name, RIGHT, false, Some(&email), sessions.now());
            let bob = bob.await.unwrap();
            let (his_cookie, his) = self.login(&bob.user()).await;
            cookies.push((Whose::His, his_cookie));
            filled.extend([("{bob}", bob.id.to_string()), ("{his}", his)]);
            if row.mentions("{link}") {
                filled.push(("{link}", self.link(&email).await));
            }
        }
        let fill =
            |text: &str| filled.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value));
        Prepared { path: fill(row.path), body: fill(row.body), cookies }
    }

    /// The secret of a link to set a new password by, as it was sent to that address.
    async fn link(&self, email: &str) -> String {
        let folder = self.folder.path().join(email);
        let (accounts, outbox) = mailing(self.state.accounts.clone(), &folder, &self.clock);
        assert_eq!(accounts.ask_reset(email, self.state.layer.sessions().now()), ResetAsked::Accepted);
        let until = tokio::time::Instant::now() + Duration::from_secs(60);
        accounts.finish_resets(until).await;
        outbox.drain(until).await;
        let message = std::fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
        let message = std::fs::read_to_string(message).unwrap();
        message.split("secret=").nth(1).unwrap().lines().next().unwrap().to_owned()
    }

    /// Sends the request of this row while that step has that fate: which steps were asked for, or what is wrong.
    async fn one(&mut self, row: &Row, fault: Option<(Step, Fate)>) -> Result<Vec<Step>, String> {
        let prepared = self.prepared(row).await;
        // So that a touch is due.
        self.clock.advance(Duration::from_secs(60));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let note = Arc::clone(&asked);
        self.store.plan(move |step| {
            note.lock().unwrap().push(step);
            fault.filter(|(at_fault, _)| *at_fault == step).map_or(Fate::FINE, |(_, fate)| fate)
        });
        let began = tokio::time::Instant::now();
        let sent = row.cookie.then(|| prepared.cookie(Whose::Own));
        let answer = self.send(row.method, &prepared.path, sent, prepared.body.clone()).await;
        let took = began.elapsed();
        self.store.heal();
        if fault.is_some_and(|(_, fate)| fate.wait == LATE) {
            // Then it happens.
            tokio::time::pause();
            tokio::time::sleep(LATE).await;
            tokio::time::resume();
        }
        let asked = std::mem::take(&mut *asked.lock().unwrap());
        let shown = || {
            format!(
                "{} with {fault:?}: {} {:?} after {took:?}, {asked:?}",
                row.operation(),
                answer.status,
                answer.cookie
            )
        };
        let failed = fault.filter(|(_, fate)| fate.wait != SLOW);
        let failed = failed.and_then(|(step, _)| row.fails.iter().find(|(needed, _)| *needed == step));
        if answer.status != failed.map_or(row.fine, |(_, status)| *status) {
            return Err(shown());
        }
        if let Some((step, fate)) = fault {
            let met = asked.iter().filter(|asked| **asked == step).count();
            let most = DEADLINE.saturating_mul(met.try_into().unwrap()) + THE_REST;
            if met == 0 || (met > row.meets && fate.wait != SLOW) || took > most {
                return Err(format!("it met {met} faults: {}", shown()));
            }
            // Whose session was renewed before has its new token all the same.
            let renewed = step != Step::Renew && asked.contains(&Step::Renew);
            if failed.is_some() && answer.cookie.is_some() && !renewed {
                return Err(format!("a cookie with a failure: {}", shown()));
            }
        }
        self.is_true(row, &prepared, failed.is_some(), fault)
            .await
            .map_err(|wrong| format!("{wrong}: {}", shown()))?;
        // As the server's own loop does, where an account changed and its sessions could not be ended.
        let sessions = self.state.layer.sessions();
        self.state.accounts.work_off(sessions).await.unwrap();
        sessions.logout_all(&UserId::from(1), None).await.unwrap();
        Ok(asked)
    }

    /// Who was told that the session is over is logged out; who was told that it may not be can ask again.
    async fn is_true(
        &self,
        row: &Row,
        prepared: &Prepared,
        failed: bool,
        fault: Option<(Step, Fate)>,
    ) -> Result<(), String> {
        for whose in row.ends.iter().filter(|_| !failed) {
            let me = self.me(prepared.cookie(*whose)).await;
            if me != 401 {
                return Err(format!("then {whose:?} {me}"));
            }
        }
        let cookie = prepared.cookie(Whose::Own);
        let me = self.me(cookie).await;
        if failed
            && fault.is_some_and(|(step, _)| matches!(step, Step::Load | Step::List | Step::Walk))
            && me != 200
        {
            return Err(format!("nothing was to be ended, then {me}"));
        }
        if row.path.ends_with("/logout") && row.cookie {
            let again = self.send(row.method, row.path, Some(cookie), String::new()).await.status;
            let me = self.me(cookie).await;
            if (again, me) != (row.fine, 401) {
                return Err(format!("again {again}, then {me}"));
            }
        }
        Ok(())
    }
}

/// How many requests met a fault, each step of each row's with each fault.
async fn all(broken: Broken) -> Result<u32, String> {
    let mut server = Server::with_alice(broken).await;
    let mut count = 0;
    for row in table() {
        let mut steps = run(broken, &mut server, row, None).await?;
        steps.sort_unstable();
        steps.dedup();
        if let Some((step, _)) = row.fails.iter().find(|(step, _)| !steps.contains(step)) {
            return Err(format!("{} never asks for {step:?}", row.operation()));
        }
        for step in steps {
            for fate in FAULTS {
                run(broken, &mut server, row, Some((step, fate))).await?;
                count += 1;
            }
        }
    }
    Ok(count)
}

/// The first set-up is for a server without accounts.
async fn run(
    broken: Broken,
    with_alice: &mut Server,
    row: &Row,
    fault: Option<(Step, Fate)>,
) -> Result<Vec<Step>, String> {
    match row.mentions("{setup}") {
        true => Server::new(broken).await.one(row, fault).await,
        false => with_alice.one(row, fault).await,
    }
}

#[tokio::test] // R02, R11
async fn every_page_and_route_answers_by_the_table_whatever_the_store_does() {
    let count = all(Broken::No).await.unwrap_or_else(|wrong| panic!("{wrong}"));
    println!("{} rows, {count} requests, each of which met its fault", table().count());
}

#[tokio::test]
async fn a_store_that_hangs_says_gone_or_ends_later_than_it_says_is_noticed_in_the_servers_routes() {
    for (broken, said) in [
        (Broken::NoDeadline, "it met 1 faults"),
        (Broken::SaysGone, "answers: true })): 401"),
        (Broken::DestroysLater, "then Own 200"),
    ] {
        let wrong = all(broken).await.unwrap_err();
        println!("{broken:?}: {wrong}");
        assert!(wrong.contains(said), "{broken:?}: {wrong}");
    }
}

#[tokio::test]
async fn every_route_is_in_the_table_with_each_of_its_methods() {
    let server = Server::with_alice(Broken::No).await;
    let (cookie, _) = server.login(&UserId::from(1)).await;
    let there = documented::operations(&server.state, &cookie).await;
    let tried: BTreeSet<String> = table().map(Row::operation).collect();
    let left_out: Vec<_> = there.difference(&tried).collect();
    assert!(left_out.is_empty(), "{left_out:?}");
}
