//! Logout against everything else that a request may be doing: one is stopped at a named point, the other overtakes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "common/pausing.rs"]
mod pausing;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use exeunt::auth::{Extend, LoggedIn, LoginOptions};
use exeunt::store::{Announce, Store};
use exeunt::{
    Data, Error, ErrorKind, ManualClock, MemoryStore, Near, Record, Sessions, Token, UserId, Users,
    UsersError, Verified,
};
use tokio::task::JoinHandle;

use crate::pausing::Side::{After, Before};
use crate::pausing::{At, PausingStore, Points};

/// One login system, in which everybody is user 1.
struct House {
    sessions: Sessions,
    clock: Arc<ManualClock>,
    users: Arc<OnlyOne>,
    points: Arc<Points>,
}

struct OnlyOne {
    password_changed: AtomicBool,
    points: Arc<Points>,
}

impl Users for OnlyOne {
    type Credentials = ();

    async fn verify(&self, (): ()) -> Result<Option<Verified>, UsersError> {
        self.points.pass(At::Verify).await;
        Ok(Some(Verified::new(UserId::from(1), 0)))
    }

    async fn is_current(&self, _: &Verified) -> Result<bool, UsersError> {
        Ok(!self.password_changed.load(Ordering::SeqCst))
    }
}

impl House {
    fn on(store: impl Store, points: Arc<Points>) -> Self {
        Self::from(ManualClock::default(), store, points)
    }

    fn from(clock: ManualClock, store: impl Store, points: Arc<Points>) -> Self {
        let clock = Arc::new(clock);
        let sessions = Sessions::new(store).clock(Arc::clone(&clock) as _);
        let users = OnlyOne { password_changed: AtomicBool::new(false), points: Arc::clone(&points) };
        Self { sessions, clock, users: Arc::new(users), points }
    }

    fn near(store: impl Announce) -> Self {
        let (store, points) = PausingStore::over(store);
        Self::on(Near::new(store, 1 << 20), points)
    }

    async fn login(&self) -> LoggedIn {
        self.login_in_place_of(None).await.expect("the password is right")
    }

    async fn login_in_place_of(&self, replaces: Option<&Token>) -> Option<LoggedIn> {
        let options = LoginOptions { replaces, ..LoginOptions::default() };
        self.sessions.login(&*self.users, (), options).await.expect("the store answers")
    }

    async fn reauthenticate(&self, record: &Record) -> Result<Option<LoggedIn>, Error> {
        self.sessions.reauthenticate(&*self.users, (), record).await
    }

    async fn resume(&self, token: &Token) -> Option<Arc<Record>> {
        self.sessions.resume(token, Extend::Yes).await.expect("the store answers")
    }

    async fn logout(&self, token: &Token) -> bool {
        self.sessions.logout(token).await.expect("the store answers")
    }

    /// Does something at the same time, until it stops at a point that was asked for.
    fn start<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
        self: &Arc<Self>,
        doing: impl FnOnce(Arc<Self>) -> F,
    ) -> JoinHandle<T> {
        tokio::spawn(doing(Arc::clone(self)))
    }

    async fn assert_dead(&self, tokens: &[&Token]) {
        // Twice: whatever the first left in a cache, the second would find.
        for _ in 0..2 {
            for token in tokens {
                assert!(self.sessions.resume_at_hand(token, Extend::No).is_none());
                assert!(self.resume(token).await.is_none());
                assert!(!self.logout(token).await);
            }
        }
        assert_eq!(self.sessions.list(&UserId::from(1)).await.expect("the store answers"), []);
    }
}

fn token(login: &LoggedIn) -> Token {
    Token::parse(&login.token.expose()).expect("it was just written")
}

fn note(data: &mut Data) -> Result<(), exeunt::session::DataError> {
    data.set("note", "late")
}

async fn an_update_that_logout_overtakes_says_so_and_writes_nothing(house: Arc<House>) {
    // R05
    let login = house.login().await;
    let pause = house.points.pause(At::Save(Before));
    let record = Arc::clone(&login.record);
    let update = house.start(|house| async move { house.sessions.update(&record, note).await });
    pause.reached().await;
    assert!(house.logout(&login.token).await);
    pause.go_on();
    assert_eq!(update.await.unwrap().unwrap_err().kind(), ErrorKind::Ended);
    house.assert_dead(&[&login.token]).await;
}

async fn an_update_that_was_stale_finds_nothing_to_write_after_logout(house: Arc<House>) {
    // R05
    let login = house.login().await;
    let saving = house.points.pause(At::Save(Before));
    let record = Arc::clone(&login.record);
    let update = house.start(|house| async move { house.sessions.update(&record, note).await });
    saving.reached().await;
    let _newer = house.sessions.update(&login.record, |data| data.set("other", &1)).await.unwrap();
    let loading = house.points.pause(At::Load(After));
    saving.go_on();
    // It has read the session again, and holds what it read while the session ends.
    loading.reached().await;
    assert!(house.logout(&login.token).await);
    loading.go_on();
    assert_eq!(update.await.unwrap().unwrap_err().kind(), ErrorKind::Ended);
    house.assert_dead(&[&login.token]).await;
}

async fn an_update_before_logout_leaves_nothing_behind(house: Arc<House>) {
    // R05
    let login = house.login().await;
    let pause = house.points.pause(At::Save(After));
    let record = Arc::clone(&login.record);
    let update = house.start(|house| async move { house.sessions.update(&record, note).await });
    pause.reached().await;
    assert!(house.logout(&login.token).await);
    pause.go_on();
    assert!(update.await.unwrap().is_ok(), "it was written before the session ended");
    house.assert_dead(&[&login.token]).await;
}

async fn a_touch_that_logout_overtakes_makes_its_request_a_visitors(house: Arc<House>) {
    // R05
    let login = house.login().await;
    house.clock.advance(Duration::from_secs(60));
    let pause = house.points.pause(At::Touch(Before));
    let given = token(&login);
    let resume = house.start(|house| async move { house.resume(&given).await });
    pause.reached().await;
    assert!(house.logout(&login.token).await);
    pause.go_on();
    assert_eq!(resume.await.unwrap(), None);
    house.assert_dead(&[&login.token]).await;
}

async fn a_touch_before_logout_extends_nothing(house: Arc<House>) {
    // R05
    let login = house.login().await;
    house.clock.advance(Duration::from_secs(60));
    let pause = house.points.pause(At::Touch(After));
    let given = token(&login);
    let resume = house.start(|house| async move { house.resume(&given).await });
    pause.reached().await;
    assert!(house.logout(&login.token).await);
    pause.go_on();
    assert!(resume.await.unwrap().is_some(), "it was asked while the session lived");
    house.assert_dead(&[&login.token]).await;
}

async fn a_slow_reader_leaves_no_ended_session_in_a_cache(house: Arc<House>) {
    // R03
    let login = house.login().await;
    let pause = house.points.pause(At::Load(After));
    let given = token(&login);
    let resume = house.start(|house| async move { house.resume(&given).await });
    pause.reached().await;
    assert!(house.logout(&login.token).await);
    pause.go_on();
    assert!(resume.await.unwrap().is_some(), "it was asked while the session lived");
    house.assert_dead(&[&login.token]).await;
}

async fn a_slow_reader_leaves_no_old_secret_in_a_cache(house: Arc<House>) {
    // R12
    let login = house.login().await;
    let pause = house.points.pause(At::Load(After));
    let given = token(&login);
    let resume = house.start(|house| async move { house.resume(&given).await });
    pause.reached().await;
    let renewed = house.sessions.renew(&login.record).await.unwrap().expect("it lives");
    pause.go_on();
    assert!(resume.await.unwrap().is_some(), "it was asked while the old secret was good");
    for _ in 0..2 {
        assert!(house.resume(&login.token).await.is_none());
        assert!(house.resume(&renewed.token).await.is_some());
    }
    assert!(house.logout(&login.token).await, "the previous secret still logs out");
    house.assert_dead(&[&login.token, &renewed.token]).await;
}

async fn a_renewal_that_logout_overtakes_gives_no_token(house: Arc<House>) {
    // R05, R12
    let login = house.login().await;
    let pause = house.points.pause(At::Renew(Before));
    let record = Arc::clone(&login.record);
    let renew = house.start(|house| async move { house.sessions.renew(&record).await });
    pause.reached().await;
    assert!(house.logout(&login.token).await);
    pause.go_on();
    assert!(renew.await.unwrap().unwrap().is_none());
    house.assert_dead(&[&login.token]).await;
}

async fn a_logout_under_the_old_secret_ends_the_renewed_session(house: Arc<House>) {
    // R06, R12: another tab logs out with the cookie that the renewal is about to replace.
    let login = house.login().await;
    let pause = house.points.pause(At::Renew(After));
    let record = Arc::clone(&login.record);
    let renew = house.start(|house| async move { house.sessions.renew(&record).await });
    pause.reached().await;
    assert!(house.logout(&login.token).await);
    pause.go_on();
    let renewed = renew.await.unwrap().unwrap().expect("it was renewed before it ended");
    house.assert_dead(&[&login.token, &renewed.token]).await;
}

async fn a_renewal_does_not_save_a_session_whose_logout_is_under_way(house: Arc<House>) {
    // R05, R12
    let login = house.login().await;
    let pause = house.points.pause(At::Destroy(Before));
    let given = token(&login);
    let logout = house.start(|house| async move { house.logout(&given).await });
    pause.reached().await;
    let renewed = house.sessions.renew(&login.record).await.unwrap().expect("it lives until it is destroyed");
    pause.go_on();
    assert!(logout.await.unwrap());
    house.assert_dead(&[&login.token, &renewed.token]).await;
}

async fn a_session_that_ends_while_its_password_is_checked_gets_no_new_token(house: Arc<House>) {
    // R05, R12
    for point in [At::Verify, At::Renew(Before)] {
        let login = house.login().await;
        let pause = house.points.pause(point);
        let record = Arc::clone(&login.record);
        let again = house.start(|house| async move { house.reauthenticate(&record).await });
        pause.reached().await;
        assert!(house.logout(&login.token).await);
        pause.go_on();
        assert_eq!(again.await.unwrap().unwrap_err().kind(), ErrorKind::Ended, "{point:?}");
        house.assert_dead(&[&login.token]).await;
    }
}

async fn a_login_again_under_an_old_password_gives_no_token_and_ends_the_session(house: Arc<House>) {
    // R18: the password changes after it was checked, and whoever changed it has not ended the sessions yet.
    let login = house.login().await;
    let pause = house.points.pause(At::Renew(After));
    let record = Arc::clone(&login.record);
    let again = house.start(|house| async move { house.reauthenticate(&record).await });
    pause.reached().await;
    house.users.password_changed.store(true, Ordering::SeqCst);
    pause.go_on();
    assert_eq!(again.await.unwrap().unwrap_err().kind(), ErrorKind::Ended);
    house.assert_dead(&[&login.token]).await;
}

async fn of_two_logins_again_at_once_one_gives_a_token(house: Arc<House>) {
    // R12
    let login = house.login().await;
    let pause = house.points.pause(At::Renew(Before));
    let record = Arc::clone(&login.record);
    let first = house.start(|house| async move { house.reauthenticate(&record).await });
    pause.reached().await;
    let second = house.reauthenticate(&login.record).await.unwrap().expect("the password is right");
    pause.go_on();
    assert_eq!(first.await.unwrap().unwrap_err().kind(), ErrorKind::Ended);
    assert!(house.resume(&login.token).await.is_none());
    assert!(house.resume(&second.token).await.is_some());
    assert!(house.logout(&second.token).await);
    house.assert_dead(&[&login.token, &second.token]).await;
}

async fn of_two_logouts_one_says_that_it_ended_the_session(house: Arc<House>) {
    // R08
    let login = house.login().await;
    let pause = house.points.pause(At::Destroy(Before));
    let given = token(&login);
    let first = house.start(|house| async move { house.logout(&given).await });
    pause.reached().await;
    // The first was not acknowledged, so the second must not hear that there is no session.
    assert!(house.logout(&login.token).await);
    pause.go_on();
    assert!(!first.await.unwrap());
    house.assert_dead(&[&login.token]).await;
}

async fn ending_a_session_by_its_name_after_logout_is_no_second_end(house: Arc<House>) {
    // R17
    let login = house.login().await;
    let pause = house.points.pause(At::Load(After));
    let id = login.record.id();
    let end = house.start(|house| async move { house.sessions.end(&UserId::from(1), &id).await });
    pause.reached().await;
    assert!(house.logout(&login.token).await);
    pause.go_on();
    assert!(!end.await.unwrap().unwrap());
    house.assert_dead(&[&login.token]).await;
}

async fn a_login_under_an_old_password_does_not_slip_through(house: Arc<House>) {
    // R18: the password changes after it was checked and before the session is stored.
    let pause = house.points.pause(At::Create(Before));
    let login = house.start(|house| async move { house.login_in_place_of(None).await });
    pause.reached().await;
    house.users.password_changed.store(true, Ordering::SeqCst);
    assert_eq!(house.sessions.logout_all(&UserId::from(1), None).await.unwrap(), []);
    pause.go_on();
    assert!(login.await.unwrap().is_none());
    house.assert_dead(&[]).await;
}

async fn logging_out_everywhere_ends_a_login_that_is_stored_but_not_answered(house: Arc<House>) {
    // R16
    let pause = house.points.pause(At::Create(After));
    let login = house.start(|house| async move { house.login().await });
    pause.reached().await;
    let ended = house.sessions.logout_all(&UserId::from(1), None).await.unwrap();
    pause.go_on();
    let login = login.await.unwrap();
    assert_eq!(ended, [login.record.id()]);
    house.assert_dead(&[&login.token]).await;
}

async fn logging_out_everywhere_overtakes_a_save_and_a_touch(house: Arc<House>) {
    // R05, R16
    let login = house.login().await;
    house.clock.advance(Duration::from_secs(60));
    let (saving, touching) = (house.points.pause(At::Save(Before)), house.points.pause(At::Touch(Before)));
    let (record, given) = (Arc::clone(&login.record), token(&login));
    let update = house.start(|house| async move { house.sessions.update(&record, note).await });
    let resume = house.start(|house| async move { house.resume(&given).await });
    saving.reached().await;
    touching.reached().await;
    assert_eq!(house.sessions.logout_all(&UserId::from(1), None).await.unwrap(), [login.record.id()]);
    saving.go_on();
    touching.go_on();
    assert_eq!(update.await.unwrap().unwrap_err().kind(), ErrorKind::Ended);
    assert_eq!(resume.await.unwrap(), None);
    house.assert_dead(&[&login.token]).await;
}

async fn a_login_over_a_session_that_is_logged_out_meanwhile_stands(house: Arc<House>) {
    // R12
    for point in [At::Create(Before), At::Create(After), At::Destroy(Before)] {
        let old = house.login().await;
        let pause = house.points.pause(point);
        let given = token(&old);
        let login = house.start(|house| async move { house.login_in_place_of(Some(&given)).await });
        pause.reached().await;
        assert!(house.logout(&old.token).await);
        pause.go_on();
        let new = login.await.unwrap().expect("the password is right");
        assert!(house.resume(&old.token).await.is_none());
        assert!(house.resume(&new.token).await.is_some());
        assert!(house.logout(&new.token).await);
        house.assert_dead(&[&old.token, &new.token]).await;
    }
}

async fn a_logout_whose_asker_left_can_be_asked_for_again(house: Arc<House>) {
    // R02: axum drops the handler of a lost connection.
    for (point, ended) in [(At::Destroy(Before), false), (At::Destroy(After), true)] {
        let login = house.login().await;
        let pause = house.points.pause(point);
        let given = token(&login);
        let logout = house.start(|house| async move { house.logout(&given).await });
        pause.reached().await;
        logout.abort();
        assert!(logout.await.unwrap_err().is_cancelled());
        assert_eq!(house.resume(&login.token).await.is_none(), ended);
        assert_eq!(house.logout(&login.token).await, !ended);
        house.assert_dead(&[&login.token]).await;
    }
}

/// One named test for each race on one store.
macro_rules! races {
    ($name:ident, $house:expr) => {
        mod $name {
            use super::*;

            races! { @each $house;
                an_update_that_logout_overtakes_says_so_and_writes_nothing
                an_update_that_was_stale_finds_nothing_to_write_after_logout
                an_update_before_logout_leaves_nothing_behind
                a_touch_that_logout_overtakes_makes_its_request_a_visitors
                a_touch_before_logout_extends_nothing
                a_slow_reader_leaves_no_ended_session_in_a_cache
                a_slow_reader_leaves_no_old_secret_in_a_cache
                a_renewal_that_logout_overtakes_gives_no_token
                a_logout_under_the_old_secret_ends_the_renewed_session
                a_renewal_does_not_save_a_session_whose_logout_is_under_way
                a_session_that_ends_while_its_password_is_checked_gets_no_new_token
                a_login_again_under_an_old_password_gives_no_token_and_ends_the_session
                of_two_logins_again_at_once_one_gives_a_token
                of_two_logouts_one_says_that_it_ended_the_session
                ending_a_session_by_its_name_after_logout_is_no_second_end
                a_login_under_an_old_password_does_not_slip_through
                logging_out_everywhere_ends_a_login_that_is_stored_but_not_answered
                logging_out_everywhere_overtakes_a_save_and_a_touch
                a_login_over_a_session_that_is_logged_out_meanwhile_stands
                a_logout_whose_asker_left_can_be_asked_for_again
            }
        }
    };
    (@each $house:expr; $($race:ident)*) => {
        $(
            #[tokio::test]
            async fn $race() {
                let (house, _guard) = $house;
                super::$race(Arc::new(house)).await;
            }
        )*
    };
}

fn on_memory() -> (House, ()) {
    let (store, points) = PausingStore::over(MemoryStore::new());
    (House::on(store, points), ())
}

races!(memory, on_memory());

#[cfg(feature = "sqlite")]
mod sqlite {
    use exeunt::store::sqlite::SqliteStore;
    use tempfile::TempDir;

    use super::*;

    fn fresh() -> (SqliteStore, TempDir) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        (SqliteStore::open(folder.path().join("sessions.db")).expect("a fresh file opens"), folder)
    }

    fn on_sqlite() -> (House, TempDir) {
        let (store, folder) = fresh();
        let (store, points) = PausingStore::over(store);
        (House::on(store, points), folder)
    }

    fn on_near() -> (House, TempDir) {
        let (store, folder) = fresh();
        (House::near(store), folder)
    }

    races!(bare, on_sqlite());
    races!(near, on_near());
}

#[cfg(feature = "redis")]
mod redis {
    use std::sync::LazyLock;
    use std::sync::atomic::AtomicUsize;

    use exeunt::store::redis::RedisStore;
    use exeunt::{Clock as _, SystemClock};
    use services::{Cluster, Redis};

    use super::*;

    static SERVER: LazyLock<Redis> = LazyLock::new(|| Redis::start(&[]).expect("a server starts"));
    static CLUSTER: LazyLock<Cluster> = LazyLock::new(|| Cluster::start(&[]).expect("a cluster starts"));

    async fn on(url: String) -> (House, ()) {
        static RACES: AtomicUsize = AtomicUsize::new(0);
        let sign = if url.contains('?') { '&' } else { '?' };
        let url = format!("{url}{sign}prefix=race{}:&deadline=10s", RACES.fetch_add(1, Ordering::SeqCst));
        let (store, points) =
            PausingStore::over(RedisStore::connect(&url).await.expect("the server answers"));
        // Redis frees what expired an hour ago by its own clock.
        (House::from(ManualClock::at(SystemClock::new().now()), store, points), ())
    }

    races!(standalone, on(SERVER.url()).await);
    races!(cluster, on(CLUSTER.url()).await);
}
