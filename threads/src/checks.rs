//! What holds in every order of the threads, each check on a store of its own.
//!
//! Must never panic while a store is open: what is found is returned, so that the checker names that and nothing later.

use std::future::poll_fn;
use std::path::Path;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use shuttle::future::block_on;
use shuttle::thread::{JoinHandle, spawn};

use super::store::sqlite::{DatabaseError, SqliteStore, rusqlite};
use super::store::{Created, Near, Saved, Store as _, StoreError};
use crate::session::{Data, Lifetime, Login, Parts, Record, SessionId, Timestamp, UserId, Verifier};
use crate::stand_in::time::let_deadlines_pass;

const NOW: Timestamp = Timestamp::from_secs(1_767_225_600);
const LATER: Timestamp = Timestamp::from_secs(1_767_225_600 + 300);
const NEAR_BYTES: usize = 1024 * 1024;

/// What was found, in words.
type Found = String;

/// Two logouts of one session, a save, a touch, and two who look: once anybody was told that it is gone, nobody gets it.
///
/// # Errors
///
/// What was found.
pub fn a_logout_holds(path: &Path) -> Result<(), Found> {
    let_deadlines_pass(false);
    let stage = Stage::open(path, false)?;
    stage.learn()?;
    logouts(&stage)
}

/// As [`a_logout_holds`], but with callers who give up at any moment, and a cache that is empty.
///
/// # Errors
///
/// What was found.
pub fn a_logout_holds_where_callers_give_up(path: &Path) -> Result<(), Found> {
    let_deadlines_pass(false);
    let stage = Stage::open(path, true)?;
    let_deadlines_pass(true);
    logouts(&stage)
}

/// A logout and three who look for a session that no cache has yet: what one of them did not find, nobody finds later.
///
/// # Errors
///
/// What was found.
pub fn what_one_does_not_find_nobody_finds(path: &Path) -> Result<(), Found> {
    let_deadlines_pass(false);
    let stage = Stage::open(path, false)?;
    join(vec![
        stage.task(Stage::look_twice),
        stage.task(Stage::end),
        stage.task(Stage::look_twice),
        stage.task(Stage::look_twice),
    ])?;
    stage.settle()
}

fn logouts(stage: &Stage) -> Result<(), Found> {
    join(vec![
        stage.task(Stage::end),
        stage.task(Stage::look_twice),
        stage.task(Stage::end),
        stage.task(Stage::look_twice),
        stage.task(Stage::change),
    ])?;
    stage.settle()
}

/// A login over the limit against "log out everywhere": each session is ended by one of them, and is gone from then on.
///
/// # Errors
///
/// What was found.
pub fn each_session_is_ended_by_one(path: &Path) -> Result<(), Found> {
    let_deadlines_pass(false);
    let stage = Stage::open(path, false)?;
    stage.learn()?;
    let user = stage.session.user().clone();
    let next = Record::restore(Parts { user, ..record(3).into_parts() });
    let login = stage.task(move |stage| async move {
        match stage.near.create(&next, 1).await {
            Ok(Created::Yes { ended }) => stage.ended(&ended).await,
            other => Err(format!("a login was answered {other:?}")),
        }
    });
    let everywhere = stage.task(|stage| async move {
        let ended = stage.near.destroy_all(stage.session.user(), None).await.map_err(said)?;
        stage.ended(&ended).await
    });
    let looks = || stage.task(|stage| async move { stage.look_twice().await.map(|()| false) });
    let ended = join(vec![login, looks(), everywhere, looks()])?;
    if ended.iter().filter(|ended| **ended).count() != 1 {
        return Err("a session was ended twice, or by nobody".to_owned());
    }
    stage.settle()
}

/// A session that no cache has yet gets another secret while others look at it: once anybody was told so, nobody gets it with
/// the old one.
///
/// # Errors
///
/// What was found.
pub fn a_secret_that_was_replaced_is_not_served(path: &Path) -> Result<(), Found> {
    let_deadlines_pass(false);
    let stage = Stage::open(path, false)?;
    let renew = stage.task(|stage| async move {
        let (old, new) = (stage.kept.verifier(), Verifier::from_bytes([7; 32]));
        match stage.near.renew(&stage.kept.id(), old, &new, NOW, stage.kept.expires_at()).await {
            Ok(true) => stage.told.store(true, Ordering::SeqCst),
            other => return Err(format!("a renewal was answered {other:?}")),
        }
        stage.look_for_the_old_secret().await
    });
    let looks = || stage.task(|stage| async move { stage.look_for_the_old_secret().await });
    join(vec![looks(), renew, looks(), looks()]).map(drop)
}

/// A sweep by a clock by which both sessions have expired, while others look by one that is behind: what it has ended, nobody
/// gets.
///
/// # Errors
///
/// What was found.
pub fn what_a_sweep_ended_is_gone(path: &Path) -> Result<(), Found> {
    let_deadlines_pass(false);
    let stage = Stage::open(path, false)?;
    stage.learn()?;
    let sweep = stage.task(|stage| async move {
        let purged = stage.near.purge(None, 10, stage.session.ends_at()).await.map_err(said)?;
        match stage.ended(&purged.ended).await? {
            true => Ok(()),
            false => Err("a sweep left what had expired".to_owned()),
        }
    });
    join(vec![stage.task(Stage::look_twice), sweep, stage.task(Stage::look_twice)]).map(drop)
}

/// Steps whose batch fails, at COMMIT or before: each is told so, nobody gets what was acknowledged as gone, and the
/// cache learns again afterwards.
///
/// # Errors
///
/// What was found.
pub fn a_failed_batch_is_told_to_all(path: &Path) -> Result<(), Found> {
    let_deadlines_pass(false);
    let stage = Stage::open(path, true)?;
    stage.learn()?;
    let tables = "CREATE TABLE parent (id INTEGER PRIMARY KEY) STRICT;
                  CREATE TABLE child (parent INTEGER REFERENCES parent DEFERRABLE INITIALLY DEFERRED) STRICT;";
    stage.near.store().database().migrate("checks", &[tables]).map_err(|error| error.to_string())?;
    let breaks = |sql: &'static str| {
        stage.task(move |stage| async move {
            let work =
                stage.near.store().database().write(move |tx| Ok::<_, DatabaseError>(tx.execute_batch(sql)?));
            match work.await {
                Ok(()) => Err(format!("acknowledged, and not committed: {sql}")),
                Err(_) => Ok(()),
            }
        })
    };
    join(vec![
        breaks("INSERT INTO child VALUES (1)"),
        stage.task(Stage::end),
        stage.task(Stage::look_twice),
        breaks("ROLLBACK"),
        stage.task(Stage::change),
    ])?;
    stage.settle()
}

/// Logins and a logout while two close the database: what was taken is answered and done, what was refused is not.
///
/// # Errors
///
/// What was found.
pub fn a_shutdown_answers_everybody(path: &Path) -> Result<(), Found> {
    let_deadlines_pass(false);
    let store = open(path)?;
    let ended = record(1);
    block_on(create(&store, &ended))?;
    let mut tasks: Vec<_> = (2..4)
        .map(|number| {
            let (store, record) = (store.clone(), record(number));
            spawn(move || {
                let lives = block_on(follow(store.create(&record, usize::MAX)))?;
                Ok(Some((record.id(), lives.is_some())))
            })
        })
        .collect();
    let (logout, id) = (store.clone(), ended.id());
    tasks.push(spawn(move || {
        let ended = block_on(follow(logout.destroy(&id)))?;
        Ok(Some((id, ended.is_none())))
    }));
    for closing in [store.clone(), store.clone()] {
        tasks.push(spawn(move || {
            closing.database().close();
            Ok(None)
        }));
    }
    drop(store);
    let known = join(tasks)?;
    let file = rusqlite::Connection::open(path).map_err(|error| error.to_string())?;
    for (id, lives) in known.into_iter().flatten() {
        let mut row =
            file.prepare("SELECT 1 FROM session WHERE id = ?1").map_err(|error| error.to_string())?;
        let is_there = row.exists([id.to_i64()]).map_err(|error| error.to_string())?;
        if is_there != lives {
            return Err(format!(
                "after a shutdown the file and an answer differ: there {is_there}, said {lives}"
            ));
        }
    }
    Ok(())
}

/// The last handle dies in a closure on the writer, or where it was cloned, or while another one closes.
///
/// # Errors
///
/// What was found.
pub fn the_last_handle_may_die_anywhere(path: &Path) -> Result<(), Found> {
    let_deadlines_pass(false);
    let store = open(path)?;
    let [one, two, three] = [(); 3].map(|()| store.database().clone());
    drop(store);
    join(vec![
        spawn(move || {
            let inside = one.clone();
            block_on(async move {
                let mut write = pin!(one.write(move |_| {
                    drop(inside);
                    Ok::<_, DatabaseError>(())
                }));
                // Asked, and then given up.
                let _ = asked(write.as_mut()).await;
            });
            Ok(())
        }),
        spawn(move || {
            let inside = two.clone();
            let closes = two.write(move |_| {
                inside.close();
                Ok::<_, DatabaseError>(())
            });
            match block_on(closes) {
                Ok(()) | Err(DatabaseError::Closed) => Ok(()),
                Err(error) => Err(format!("a write while others close: {error}")),
            }
        }),
        spawn(move || match block_on(three.ping()) {
            Ok(()) | Err(DatabaseError::Closed) => Ok(()),
            Err(error) => Err(format!("a ping while others close: {error}")),
        }),
    ])?;
    Ok(())
}

/// A store with a near cache, a session that ends, and one that stays.
#[derive(Clone)]
struct Stage {
    near: Arc<Near<SqliteStore>>,
    session: Arc<Record>,
    kept: Arc<Record>,
    /// Whether somebody was told that the session is gone, or of a new secret.
    told: Arc<AtomicBool>,
    /// Whether steps may fail here.
    may_fail: bool,
}

impl Stage {
    fn open(path: &Path, may_fail: bool) -> Result<Self, Found> {
        let near = Arc::new(Near::new(open(path)?, NEAR_BYTES));
        let (session, kept) = (Arc::new(record(1)), Arc::new(record(2)));
        for record in [&session, &kept] {
            block_on(create(near.store(), record))?;
        }
        Ok(Self { near, session, kept, told: Arc::default(), may_fail })
    }

    /// The cache gets both sessions.
    fn learn(&self) -> Result<(), Found> {
        for record in [&self.session, &self.kept] {
            block_on(self.near.load(&record.id(), NOW)).map_err(said)?;
        }
        Ok(())
    }

    fn task<T, F>(&self, work: impl FnOnce(Self) -> F + Send + 'static) -> JoinHandle<Result<T, Found>>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Found>>,
    {
        let stage = self.clone();
        spawn(move || block_on(work(stage)))
    }

    /// A logout. Whichever of two comes second is told that there was no session: that, too, is an answer.
    async fn end(self) -> Result<(), Found> {
        match self.near.destroy(&self.session.id()).await {
            Ok(_) => self.told.store(true, Ordering::SeqCst),
            Err(_) if self.may_fail => {}
            Err(error) => return Err(said(error)),
        }
        self.look().await
    }

    /// Whether the session is among those that were ended.
    async fn ended(&self, ended: &[SessionId]) -> Result<bool, Found> {
        let ended = ended.contains(&self.session.id());
        if ended {
            self.told.store(true, Ordering::SeqCst);
        }
        self.look().await?;
        Ok(ended)
    }

    async fn look_twice(self) -> Result<(), Found> {
        self.look().await?;
        self.look().await
    }

    async fn look(&self) -> Result<(), Found> {
        let gone = || self.told.load(Ordering::SeqCst);
        let id = self.session.id();
        let was_gone = gone();
        if self.near.peek(&id, NOW).is_some() && was_gone {
            return Err("the cache serves a session after somebody was told that it is gone".to_owned());
        }
        let was_gone = gone();
        match self.near.load(&id, NOW).await {
            Ok(Some(_)) if was_gone => {
                Err("a session is loaded after somebody was told that it is gone".to_owned())
            }
            Ok(Some(_)) => Ok(()),
            Ok(None) => {
                self.told.store(true, Ordering::SeqCst);
                Ok(())
            }
            Err(error) => Err(said(error)),
        }
    }

    async fn look_for_the_old_secret(&self) -> Result<(), Found> {
        for _ in 0..2 {
            let (id, old) = (self.kept.id(), self.kept.verifier());
            let was_told = self.told.load(Ordering::SeqCst);
            let found = match self.near.peek(&id, NOW) {
                Some(found) => Some(found),
                None => self.near.load(&id, NOW).await.map_err(said)?,
            };
            match found {
                Some(found) if found.verifier() != old => self.told.store(true, Ordering::SeqCst),
                Some(_) if was_told => {
                    return Err("the old secret is served after somebody was told of the new one".to_owned());
                }
                Some(_) => {}
                None => return Err("a session that nobody ended is gone".to_owned()),
            }
        }
        Ok(())
    }

    /// Writes to both sessions, with what was known of them at the beginning.
    async fn change(self) -> Result<(), Found> {
        let mut data = Data::default();
        data.set("seen", &true).map_err(|error| error.to_string())?;
        for record in [&self.session, &self.kept] {
            let (id, verifier, stays) = (record.id(), record.verifier(), record.id() == self.kept.id());
            let was_gone = !stays && self.told.load(Ordering::SeqCst);
            match self.near.save(&id, verifier, record.revision(), &data, NOW).await {
                Ok(Saved::At(_)) if was_gone => {
                    return Err("a session is changed after somebody was told that it is gone".to_owned());
                }
                Ok(Saved::At(_)) => {}
                Ok(Saved::Gone) if !stays => self.told.store(true, Ordering::SeqCst),
                Err(_) if self.may_fail => {}
                other => return Err(format!("a change was answered {other:?}")),
            }
            let was_gone = !stays && self.told.load(Ordering::SeqCst);
            match self.near.touch(&id, verifier, LATER, record.ends_at()).await {
                Ok(true) if was_gone => {
                    return Err("a session is touched after somebody was told that it is gone".to_owned());
                }
                Ok(true) => {}
                Ok(false) if !stays => self.told.store(true, Ordering::SeqCst),
                Err(_) if self.may_fail => {}
                other => return Err(format!("a touch was answered {other:?}")),
            }
        }
        self.look().await
    }

    /// When all is over: a logout is acknowledged and holds, and the cache keeps what stays.
    fn settle(&self) -> Result<(), Found> {
        let_deadlines_pass(false);
        block_on(async {
            self.near.destroy(&self.session.id()).await.map_err(said)?;
            self.told.store(true, Ordering::SeqCst);
            self.look().await?;
            let kept = self.kept.id();
            if self.near.load(&kept, NOW).await.map_err(said)?.is_none() {
                return Err("a session that nobody ended is gone".to_owned());
            }
            match self.near.peek(&kept, NOW) {
                Some(_) => Ok(()),
                None => Err("the cache does not learn any more what was changed".to_owned()),
            }
        })
    }
}

/// An empty store. Its file was that of the order before.
fn open(path: &Path) -> Result<SqliteStore, Found> {
    let store = SqliteStore::open(path).map_err(|error| error.to_string())?;
    let empty = store.database().write(|tx| Ok::<_, DatabaseError>(tx.execute("DELETE FROM session", [])?));
    block_on(empty).map_err(|error| error.to_string())?;
    Ok(store)
}

/// The session of that number, alike in every order: where a cache keeps it depends on its id.
fn record(number: i64) -> Record {
    let (_, record) = Record::new(UserId::from(number), NOW, &Lifetime::default(), Login::default());
    let id = SessionId::from_i64(number).expect("a small number is an id");
    Record::restore(Parts { id, ..record.into_parts() })
}

async fn create(store: &SqliteStore, record: &Record) -> Result<(), Found> {
    match store.create(record, usize::MAX).await {
        Ok(Created::Yes { .. }) => Ok(()),
        other => Err(format!("a login was answered {other:?}")),
    }
}

/// A step while others close: `None` if it was refused at once; once it was taken, it has to be done.
async fn follow<T>(step: impl Future<Output = Result<T, StoreError>>) -> Result<Option<T>, Found> {
    let mut step = pin!(step);
    let (taken, answer) = match asked(step.as_mut()).await {
        Poll::Ready(answer) => (false, answer),
        Poll::Pending => (true, step.await),
    };
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(error) if !taken && is_closed(&error) => Ok(None),
        Err(error) => Err(format!("a shutdown lost a step that was taken: {}", said(error))),
    }
}

/// What there is at once.
async fn asked<F: Future>(mut step: Pin<&mut F>) -> Poll<F::Output> {
    poll_fn(|cx| Poll::Ready(step.as_mut().poll(cx))).await
}

fn is_closed(error: &StoreError) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref());
    matches!(source, Some(DatabaseError::Closed))
}

fn said(error: StoreError) -> Found {
    super::store::Causes(&error).to_string()
}

/// Waits for all of them; the first that found something speaks.
fn join<T>(tasks: Vec<JoinHandle<Result<T, Found>>>) -> Result<Vec<T>, Found> {
    let ended: Vec<_> = tasks.into_iter().map(JoinHandle::join).collect();
    ended.into_iter().map(|task| task.map_err(|_| "a task panicked".to_owned())?).collect()
}
