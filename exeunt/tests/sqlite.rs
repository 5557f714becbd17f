//! The SQLite store's file: who may open it, what a write promises, what happens when the disk or a neighbour fails.
#![cfg(feature = "sqlite")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use exeunt::auth::{Extend, LoginOptions};
use exeunt::session::Parts;
use exeunt::store::Created;
use exeunt::store::sqlite::rusqlite::Connection;
use exeunt::store::sqlite::{
    Beside, Database, DatabaseError, Loss, OpenError, SqliteStore, Tx, destroy_all_in,
};
use exeunt::{
    Client, Data, Record, SessionId, Sessions, Store as _, Timestamp, Token, UserId, Users, UsersError,
    Verified, Verifier,
};
use tempfile::TempDir;
use tokio::sync::oneshot;

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn notes(folder: &TempDir) -> Database {
    let database = Database::open(folder.path().join("notes.db")).unwrap();
    database.migrate("notes", &["CREATE TABLE note (text TEXT NOT NULL UNIQUE) STRICT"]).unwrap();
    database
}

async fn add(database: &Database, text: impl Into<String>) -> Result<usize, DatabaseError> {
    let text = text.into();
    database.write(move |tx| Ok(tx.execute("INSERT INTO note VALUES (?1)", [text])?)).await
}

fn texts(database: &Database) -> Vec<String> {
    let read = |connection: &Connection| {
        let mut select = connection.prepare("SELECT text FROM note ORDER BY rowid")?;
        let rows = select.query_map([], |row| row.get(0))?;
        Ok::<_, DatabaseError>(rows.collect::<Result<_, _>>()?)
    };
    database.read(read).unwrap()
}

/// Keeps the writer busy until what it returns is dropped.
async fn hold_writer(database: &Database) -> std::sync::mpsc::Sender<()> {
    let (release, held) = std::sync::mpsc::channel();
    let (began, begun) = oneshot::channel();
    let database = database.clone();
    tokio::spawn(async move {
        let hold = move |_: &Tx| {
            began.send(()).unwrap();
            let _: Result<(), _> = held.recv();
            Ok::<_, DatabaseError>(())
        };
        database.write(hold).await
    });
    begun.await.unwrap();
    release
}

fn open_error(path: &Path) -> OpenError {
    match SqliteStore::open(path) {
        Err(error) => error,
        Ok(_) => panic!("{} was opened", path.display()),
    }
}

#[tokio::test]
async fn one_process_owns_a_file_by_whatever_name() {
    let folder = folder();
    let path = folder.path().join("a.db");
    let store = SqliteStore::open(&path).unwrap();
    std::os::unix::fs::symlink(&path, folder.path().join("b.db")).unwrap();
    for name in ["a.db", "b.db", "./a.db"] {
        let error = open_error(&folder.path().join(name));
        assert!(matches!(error, OpenError::Locked { .. }), "{error:?}");
        assert!(error.to_string().contains("a.db is in use"), "{error}");
    }
    drop(store);
    SqliteStore::open(&path).unwrap();
}

#[test]
fn a_file_that_is_not_ours_is_refused_and_left_as_it_was() {
    let folder = folder();
    let text = folder.path().join("notes.txt");
    fs::write(
        &text,
        "Dear diary, this is more than a hundred bytes of text that no database begins with. ".repeat(20),
    )
    .unwrap();
    let other = folder.path().join("other.db");
    Connection::open(&other).unwrap().execute_batch("CREATE TABLE theirs (a)").unwrap();
    let marked = folder.path().join("marked.db");
    Connection::open(&marked)
        .unwrap()
        .execute_batch("PRAGMA application_id = 7; CREATE TABLE t (a)")
        .unwrap();
    for path in [text, other, marked] {
        let before = fs::read(&path).unwrap();
        let error = open_error(&path);
        assert!(matches!(error, OpenError::Foreign { .. }), "{error:?}");
        assert!(error.to_string().contains("name another file"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), before);
    }
}

#[tokio::test]
async fn a_newer_file_is_refused_and_the_version_named() {
    let folder = folder();
    let database = notes(&folder);
    let two = ["CREATE TABLE x (a) STRICT", "ALTER TABLE x ADD COLUMN b"];
    database.migrate("later", &["CREATE TABLE x (a TEXT) STRICT", "CREATE TABLE y (a TEXT) STRICT"]).unwrap();
    let error = database.migrate("later", &two[..1]).unwrap_err();
    assert!(matches!(error, OpenError::Newer { found: 2, known: 1, .. }), "{error:?}");
    assert!(error.to_string().contains("run the newer version"), "{error}");
    database.migrate("later", &two).unwrap();
}

#[tokio::test]
async fn a_migration_that_fails_leaves_nothing_behind() {
    let folder = folder();
    let database = notes(&folder);
    let steps = ["CREATE TABLE half (a TEXT) STRICT", "CREATE TABLE half (a TEXT) STRICT"];
    let error = database.migrate("broken", &steps).unwrap_err();
    assert!(matches!(error, OpenError::Migration { step: 2, .. }), "{error:?}");
    database.migrate("broken", &steps[..1]).unwrap();
}

#[test]
fn a_damaged_file_is_named_as_damaged() {
    let folder = folder();
    let path = folder.path().join("a.db");
    drop(SqliteStore::open(&path).unwrap());
    let mut bytes = fs::read(&path).unwrap();
    // The page after the header page's 100 bytes: the list of tables.
    bytes[100..200].fill(0xAB);
    fs::write(&path, bytes).unwrap();
    let error = open_error(&path);
    assert!(matches!(error, OpenError::Corrupt { .. }), "{error:?}");
    assert!(error.to_string().contains("is damaged"), "{error}");
}

#[test]
fn what_cannot_be_written_is_named_so() {
    // Not even root may create files there.
    let error = open_error(Path::new("/sys/exeunt.db"));
    assert!(matches!(error, OpenError::Unwritable { .. }), "{error:?}");
    let folder = folder();
    let error = open_error(&folder.path().join("no/such/folder/a.db"));
    assert!(matches!(error, OpenError::Io { .. }), "{error:?}");
    assert!(error.to_string().contains("no/such/folder/a.db"), "{error}");
    assert!(matches!(open_error(folder.path()), OpenError::Unwritable { .. } | OpenError::Io { .. }));
}

#[tokio::test]
async fn nobody_else_can_read_any_of_its_files() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = folder();
    let database = notes(&folder);
    add(&database, "a").await.unwrap();
    let modes: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name(), entry.metadata().unwrap().permissions().mode() & 0o777))
        .collect();
    assert_eq!(modes.len(), 5, "the file, its log, its index, its lock and its mark: {modes:?}");
    assert!(modes.iter().all(|(_, mode)| *mode == 0o600), "{modes:?}");
}

#[tokio::test]
async fn a_closure_that_fails_or_panics_undoes_its_own_work_alone() {
    let folder = folder();
    let database = notes(&folder);
    let release = hold_writer(&database).await;
    let failing = database.write(|tx| {
        tx.execute("INSERT INTO note VALUES ('half')", [])?;
        tx.execute("INSERT INTO nowhere VALUES (1)", [])?;
        Ok::<_, DatabaseError>(())
    });
    let panicking = database.write(|tx| {
        tx.execute("INSERT INTO note VALUES ('doomed')", [])?;
        if tx.is_autocommit() { Ok::<_, DatabaseError>(()) } else { panic!("on purpose") }
    });
    let gather = async {
        tokio::join!(add(&database, "before"), failing, panicking, add(&database, "after"), async {
            tokio::task::yield_now().await;
            drop(release);
        })
    };
    let (before, failed, panicked, after, ()) = gather.await;
    assert!(before.is_ok() && after.is_ok());
    assert!(matches!(failed, Err(DatabaseError::Sqlite(_))), "{failed:?}");
    assert!(matches!(panicked, Err(DatabaseError::Panicked)), "{panicked:?}");
    assert_eq!(texts(&database), ["before", "after"]);
}

#[tokio::test]
async fn a_closure_that_ends_the_shared_transaction_is_not_acknowledged_nor_are_its_neighbours() {
    let folder = folder();
    let database = notes(&folder);
    let release = hold_writer(&database).await;
    let ending = database.write(|tx| Ok::<_, DatabaseError>(tx.execute_batch("ROLLBACK")?));
    let gather = async {
        tokio::join!(add(&database, "neighbour"), ending, async {
            tokio::task::yield_now().await;
            drop(release);
        })
    };
    let (neighbour, ended, ()) = gather.await;
    assert!(matches!(ended, Err(DatabaseError::TransactionEnded)), "{ended:?}");
    assert!(matches!(neighbour, Err(DatabaseError::Undone(_))), "{neighbour:?}");
    assert!(texts(&database).is_empty());
    add(&database, "later").await.unwrap();
}

#[tokio::test]
async fn many_waiters_share_a_commit_and_each_gets_its_own_answer() {
    let folder = folder();
    let database = notes(&folder);
    let release = hold_writer(&database).await;
    let tasks: Vec<_> = (0..300)
        .map(|n| {
            let database = database.clone();
            tokio::spawn(async move { add(&database, format!("note {}", n % 200)).await })
        })
        .collect();
    tokio::task::yield_now().await;
    drop(release);
    let taken = Arc::new(AtomicUsize::new(0));
    for task in tasks {
        match task.await.unwrap() {
            Ok(rows) => assert_eq!(rows, 1),
            Err(error) => {
                assert!(error.to_string().contains("SQLite refused"), "{error}");
                taken.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
    assert_eq!(taken.load(Ordering::Relaxed), 100, "a taken note is refused, and nothing else");
    assert_eq!(texts(&database).len(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_refuses_at_once_and_a_writer_that_hangs_does_so_within_the_deadline() {
    let folder = folder();
    let database = notes(&folder);
    let release = hold_writer(&database).await;
    let began = tokio::time::Instant::now();
    let late = add(&database, "late").await;
    assert!(matches!(late, Err(DatabaseError::Deadline)), "{late:?}");
    assert_eq!(began.elapsed().as_secs(), 2);

    // "late" still waits too.
    let mut waiting: Vec<_> = (0..4095).map(|n| Box::pin(add(&database, format!("{n}")))).collect();
    for write in &mut waiting {
        assert!(poll_once(write.as_mut()).await.is_pending());
    }
    let refused = add(&database, "one too many").await;
    assert!(matches!(refused, Err(DatabaseError::Busy)), "{refused:?}");
    drop(waiting);
    drop(release);
    database.close();
    assert_eq!(texts(&database).len(), 4096, "what was queued is done, whether or not anybody still waits");
}

async fn poll_once<F: Future>(mut future: std::pin::Pin<&mut F>) -> std::task::Poll<F::Output> {
    std::future::poll_fn(|context| std::task::Poll::Ready(future.as_mut().poll(context))).await
}

#[tokio::test]
async fn a_neighbour_that_locks_the_file_makes_writes_fail_until_it_lets_go() {
    let folder = folder();
    let database = notes(&folder);
    let neighbour = Connection::open(database.path()).unwrap();
    neighbour.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = add(&database, "blocked").await.unwrap_err();
    assert!(error.is_busy(), "{error:?}");
    assert!(error.to_string().contains("another program"), "{error}");
    assert!(texts(&database).is_empty(), "reads go on");
    let error = database.migrate("later", &["CREATE TABLE later (a) "]).unwrap_err();
    assert!(error.to_string().contains("notes.db"), "{error}");
    neighbour.execute_batch("ROLLBACK").unwrap();
    add(&database, "free").await.unwrap();
    assert_eq!(texts(&database), ["free"]);
}

#[tokio::test]
async fn nothing_is_acknowledged_into_a_file_that_was_moved_away() {
    let folder = folder();
    let database = notes(&folder);
    add(&database, "kept").await.unwrap();
    let (here, away) = (database.path().to_owned(), folder.path().join("away.db"));
    fs::rename(&here, &away).unwrap();
    let error = add(&database, "lost").await.unwrap_err();
    assert!(matches!(error, DatabaseError::Moved), "{error:?}");
    fs::write(&here, "a backup, say").unwrap();
    assert!(matches!(database.ping().await, Err(DatabaseError::Moved)));
    fs::rename(&away, &here).unwrap();
    add(&database, "back").await.unwrap();
    assert_eq!(texts(&database), ["kept", "back"]);
}

#[tokio::test]
async fn a_full_disk_acknowledges_nothing_and_needs_no_restart() {
    let folder = folder();
    let database = notes(&folder);
    add(&database, "small").await.unwrap();
    // SQLite reports its own page limit just as it does a full disk.
    let limit = |pages: u32| {
        move |tx: &Tx| Ok::<_, DatabaseError>(tx.pragma_update(None, "max_page_count", pages)?)
    };
    database.write(limit(1)).await.unwrap();
    let error = add(&database, "x".repeat(200_000)).await.unwrap_err();
    assert!(error.to_string().contains("the disk is full"), "{error}");
    database.write(limit(1_000_000)).await.unwrap();
    add(&database, "room again").await.unwrap();
    assert_eq!(texts(&database), ["small", "room again"]);
}

#[tokio::test]
async fn closing_folds_the_log_into_the_file_and_keeps_everything() {
    let folder = folder();
    let database = notes(&folder);
    for n in 0..100 {
        add(&database, format!("{n}")).await.unwrap();
    }
    let clone = database.clone();
    database.close();
    assert!(matches!(add(&clone, "after").await, Err(DatabaseError::Closed)));
    drop((database, clone));
    let mut left: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["notes.db", "notes.db-mark", "notes.db.lock"]);
    assert_eq!(texts(&notes(&folder)).len(), 100);
}

#[tokio::test]
async fn the_last_handle_may_die_on_the_writer_itself() {
    let folder = folder();
    let database = notes(&folder);
    let path = database.path().to_owned();
    let (release, held) = std::sync::mpsc::channel::<()>();
    let (began, begun) = oneshot::channel();
    let (first, last) = (database.clone(), database);
    let waiting = tokio::spawn(async move {
        let work = move |_: &Tx| {
            began.send(()).unwrap();
            let _: Result<(), _> = held.recv();
            drop(last);
            Ok::<_, DatabaseError>(())
        };
        first.write(work).await
    });
    begun.await.unwrap();
    waiting.abort();
    assert!(waiting.await.unwrap_err().is_cancelled());
    drop(release);
    // The writer ends by itself, and with it the lock goes.
    while matches!(Database::open(&path), Err(OpenError::Locked { .. })) {
        tokio::task::yield_now().await;
    }
}

struct Anybody;

impl Users for Anybody {
    type Credentials = ();

    async fn verify(&self, (): ()) -> Result<Option<Verified>, UsersError> {
        Ok(Some(Verified::new(UserId::from(1), 0)))
    }

    async fn is_current(&self, _: &Verified) -> Result<bool, UsersError> {
        Ok(true)
    }
}

#[tokio::test]
async fn a_login_that_nobody_waits_for_any_more_makes_no_session() {
    let folder = folder();
    let store = SqliteStore::open(folder.path().join("a.db")).unwrap();
    let sessions = Sessions::new(store.clone());
    let release = hold_writer(store.database()).await;
    let mut given_up = Box::pin(sessions.login(&Anybody, (), LoginOptions::default()));
    assert!(poll_once(given_up.as_mut()).await.is_pending());
    let mut waiting = Box::pin(sessions.login(&Anybody, (), LoginOptions::default()));
    assert!(poll_once(waiting.as_mut()).await.is_pending());
    drop(given_up);
    drop(release);
    let login = waiting.await.unwrap().unwrap();
    let listed = sessions.list(&UserId::from(1)).await.unwrap();
    assert_eq!(listed.iter().map(|record| record.id()).collect::<Vec<_>>(), [login.record.id()]);
}

#[tokio::test]
async fn who_copies_the_files_gets_no_usable_token() {
    // R29
    let folder = folder();
    let store = SqliteStore::open(folder.path().join("a.db")).unwrap();
    let sessions = Sessions::new(store);
    let login = sessions.login(&Anybody, (), LoginOptions::default()).await.unwrap().unwrap();
    let token = login.token.expose();
    let bytes = URL_SAFE_NO_PAD.decode(&token).unwrap();
    let (id, secret) = bytes.split_at(8);
    let verifier = login.record.verifier().as_bytes();

    let holds = |files: &[Vec<u8>], wanted: &[u8]| {
        files.iter().any(|file| file.windows(wanted.len()).any(|window| window == wanted))
    };
    let files: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect();
    assert!(holds(&files, verifier), "the session is in one of them");
    assert!(
        !holds(&files, secret) && !holds(&files, token.as_bytes()) && !holds(&files, &token.as_bytes()[11..])
    );

    // The hash in the secret's place opens nothing.
    let forged = Token::parse(&URL_SAFE_NO_PAD.encode([id, verifier].concat())).unwrap();
    assert!(sessions.resume(&forged, Extend::No).await.unwrap().is_none());
    assert!(sessions.resume(&login.token, Extend::No).await.unwrap().is_some());
}

#[tokio::test]
async fn a_log_past_64_mib_is_folded_into_the_file_while_writes_go_on() {
    let folder = folder();
    let database = notes(&folder);
    let log = folder.path().join("notes.db-wal");
    let big = |n: u32| {
        move |tx: &Tx| {
            tx.execute(
                "INSERT OR REPLACE INTO note (rowid, text) VALUES (?1, ?2)",
                (n % 8, format!("{n}{}", "x".repeat(1_000_000))),
            )?;
            Ok::<_, DatabaseError>(())
        }
    };
    for n in 0..400 {
        database.write(big(n)).await.unwrap();
    }
    // 400 MB were written; four times the mark is where the writer itself would stop to make room.
    let length = fs::metadata(log).unwrap().len();
    assert!(length < 300 * 1024 * 1024, "the log has {length} bytes");
    assert!(database.integrity().unwrap().is_empty());
}

const NOW: Timestamp = Timestamp::from_secs(1_767_225_600);

async fn session(store: &SqliteStore, id: i64) -> SessionId {
    let later = NOW.plus(Duration::from_secs(60));
    let record = Record::restore(Parts {
        id: SessionId::from_i64(id).unwrap(),
        verifier: Verifier::from_bytes([7; 32]),
        previous: None,
        user: UserId::from(1),
        created_at: NOW,
        authenticated_at: NOW,
        seen_at: NOW,
        expires_at: later,
        ends_at: later,
        remembered: false,
        revision: 0,
        client: Client::default(),
        data: Data::default(),
    });
    assert_eq!(store.create(&record, 10).await.unwrap(), Created::Yes { ended: vec![] });
    record.id()
}

#[tokio::test]
async fn what_a_closure_commits_for_its_neighbours_is_not_kept_by_the_near_cache() {
    // R03: such a closure breaks the rules. That must not become a session that outlives its end.
    let folder = folder();
    let near = exeunt::open(folder.path().join("a.db")).unwrap();
    let database = near.store().database().clone();
    let id = session(near.store(), 1).await;
    assert!(near.load(&id, NOW).await.unwrap().is_some() && near.peek(&id, NOW).is_some());
    let release = hold_writer(&database).await;
    let gather = async {
        tokio::join!(
            near.destroy(&id),
            database.write(|tx| Ok::<_, DatabaseError>(tx.execute_batch("COMMIT")?)),
            async {
                tokio::task::yield_now().await;
                drop(release);
            }
        )
    };
    let (destroyed, ended, ()) = gather.await;
    assert!(destroyed.is_err() && matches!(ended, Err(DatabaseError::TransactionEnded)), "{ended:?}");
    assert_eq!(near.peek(&id, NOW), near.store().load(&id, NOW).await.unwrap());
    assert!(!near.destroy(&id).await.unwrap());
    assert_eq!(near.load(&id, NOW).await.unwrap(), None);
}

#[tokio::test]
async fn who_hears_that_there_is_no_such_session_finds_none_in_the_near_cache() {
    // R03: the application deleted the row behind the store's back.
    let folder = folder();
    let near = exeunt::open(folder.path().join("a.db")).unwrap();
    let id = session(near.store(), 1).await;
    assert!(near.load(&id, NOW).await.unwrap().is_some());
    let delete = |tx: &Tx| Ok::<_, DatabaseError>(tx.execute("DELETE FROM session", [])?);
    near.store().database().write(delete).await.unwrap();
    assert!(!near.destroy(&id).await.unwrap());
    assert_eq!(near.peek(&id, NOW), None);
}

#[tokio::test]
async fn a_failing_closure_that_ended_sessions_leaves_them_live() {
    let folder = folder();
    let near = exeunt::open(folder.path().join("a.db")).unwrap();
    let id = session(near.store(), 1).await;
    assert!(near.load(&id, NOW).await.unwrap().is_some());
    let failing = |tx: &Tx| {
        destroy_all_in(tx, &UserId::from(1), None)?;
        // A savepoint of the closure's own, under a likely name, must not catch what undoes the closure.
        tx.execute_batch("SAVEPOINT step")?;
        Err::<(), _>(DatabaseError::Busy)
    };
    assert!(near.store().database().write(failing).await.unwrap_err().is_busy());
    assert!(near.store().load(&id, NOW).await.unwrap().is_some());
}

#[tokio::test]
async fn a_read_that_leaves_a_transaction_open_does_not_keep_what_ended_since() {
    // R03: each connection of the pool would go on seeing the sessions of the time when it was left.
    let folder = folder();
    let store = SqliteStore::open(folder.path().join("a.db")).unwrap();
    let id = session(&store, 1).await;
    let leave_open = |panics: bool| {
        let look = |connection: &Connection| {
            connection.execute_batch("BEGIN; SELECT * FROM session")?;
            assert!(!panics, "on purpose");
            Ok::<_, DatabaseError>(())
        };
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| store.database().read(look)))
    };
    assert!(matches!(leave_open(false), Ok(Ok(()))));
    assert!(store.destroy(&id).await.unwrap());
    assert_eq!(store.load(&id, NOW).await.unwrap(), None);

    let id = session(&store, 2).await;
    assert!(leave_open(true).is_err());
    assert!(store.destroy(&id).await.unwrap());
    assert_eq!(store.load(&id, NOW).await.unwrap(), None);
}

#[derive(Debug)]
struct PanicsWhenMade;

impl From<DatabaseError> for PanicsWhenMade {
    fn from(_: DatabaseError) -> Self {
        panic!("on purpose")
    }
}

#[derive(Debug)]
struct PanicsWhenDropped;

impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        panic!("on purpose")
    }
}

#[tokio::test]
async fn the_writer_outlives_what_panics_around_a_closure() {
    let folder = folder();
    let database = notes(&folder);
    let release = hold_writer(&database).await;
    let mut unheard = Box::pin(database.write(|_| Ok::<_, DatabaseError>(PanicsWhenDropped)));
    assert!(poll_once(unheard.as_mut()).await.is_pending());
    drop(unheard);
    drop(release);
    add(&database, "after the first").await.unwrap();

    let other = database.clone();
    let made = tokio::spawn(async move {
        let panicking = |tx: &Tx| {
            if tx.is_autocommit() { Ok::<(), PanicsWhenMade>(()) } else { panic!("on purpose") }
        };
        other.write(panicking).await
    });
    assert!(made.await.unwrap_err().is_panic(), "its error cannot be made");
    add(&database, "after the second").await.unwrap();
    assert_eq!(texts(&database), ["after the first", "after the second"]);
}

#[tokio::test]
async fn a_closure_may_close_the_database_while_others_wait_for_that() {
    let folder = folder();
    let database = notes(&folder);
    let (release, held) = std::sync::mpsc::channel::<()>();
    let (began, begun) = oneshot::channel();
    let inner = database.clone();
    let work = move |_: &Tx| {
        began.send(()).unwrap();
        let _: Result<(), _> = held.recv();
        inner.close();
        Ok::<_, DatabaseError>(())
    };
    let other = database.clone();
    let closing = tokio::spawn(async move { other.write(work).await });
    begun.await.unwrap();
    std::thread::scope(|scope| {
        let closers: Vec<_> = (0..3).map(|_| scope.spawn(|| database.close())).collect();
        drop(release);
        closers.into_iter().for_each(|closer| closer.join().unwrap());
    });
    closing.await.unwrap().unwrap();
    assert!(matches!(add(&database, "late").await, Err(DatabaseError::Closed)));
}

/// As the version before marks and checksums left it.
fn downgrade(path: &Path) {
    let connection = Connection::open(path).unwrap();
    connection
        .execute_batch(
            "ALTER TABLE session DROP COLUMN sum; ALTER TABLE session DROP COLUMN made;
             UPDATE migration SET version = 1 WHERE component = 'sessions'; DROP TABLE exeunt_commits;",
        )
        .unwrap();
    fs::remove_file(path.with_extension("db-mark")).unwrap();
}

#[tokio::test]
async fn an_upgrade_logs_nobody_out() {
    let folder = folder();
    let path = folder.path().join("a.db");
    let store = SqliteStore::open(&path).unwrap();
    let id = session(&store, 1).await;
    let before = store.load(&id, NOW).await.unwrap();
    drop(store);
    downgrade(&path);
    // Whoever copies it first reads it as it is.
    let beside = Beside::open(&path).unwrap();
    assert_eq!((beside.walk(None, 9, NOW).unwrap().len(), beside.loss().unwrap()), (1, None));
    for _ in 0..2 {
        let store = SqliteStore::open(&path).unwrap();
        assert_eq!(store.database().loss(), None);
        assert_eq!(store.load(&id, NOW).await.unwrap(), before);
        assert_eq!(beside.walk(None, 9, NOW).unwrap().len(), 1);
    }
    let store = SqliteStore::open(&path).unwrap();
    assert!(store.touch(&id, before.unwrap().verifier(), NOW, NOW).await.unwrap());
    store.ping().await.unwrap();
    assert_eq!((store.list(&UserId::from(1), NOW).await.unwrap().len(), store.damaged().unwrap()), (1, 0));
}

#[tokio::test]
async fn who_dies_while_making_the_mark_is_no_damage() {
    let folder = folder();
    let path = folder.path().join("a.db");
    drop(SqliteStore::open(&path).unwrap());
    downgrade(&path);
    drop(Database::open(&path).unwrap());
    // The mark is there, and the row that goes with it was not committed.
    Connection::open(&path).unwrap().execute_batch("DROP TABLE exeunt_commits").unwrap();
    assert_eq!(SqliteStore::open(&path).unwrap().database().loss(), None);
}

#[tokio::test]
async fn a_session_that_is_not_as_it_was_written_is_gone_for_every_operation() {
    let folder = folder();
    let path = folder.path().join("a.db");
    let store = SqliteStore::open(&path).unwrap();
    let (id, other) = (session(&store, 1).await, session(&store, 2).await);
    let later = NOW.plus(Duration::from_secs(3600));
    // Any of its columns, and the commit that made it.
    for change in [
        "verifier = zeroblob(32)",
        "user = 'somebody else'",
        "expires_at = expires_at + 1",
        "ends_at = ends_at + 1",
        "revision = 1",
        "data = '{}  '",
        "made = made + 1",
        "sum = sum + 1",
    ] {
        let sql = format!("UPDATE session SET {change} WHERE id = 1");
        let write = move |tx: &Tx| Ok::<_, DatabaseError>(tx.execute_batch(&sql)?);
        store.database().write(write).await.unwrap();
        assert_eq!(store.load(&id, NOW).await.unwrap(), None, "{change}");
        let verifier = Verifier::from_bytes([7; 32]);
        for verifier in [verifier, Verifier::from_bytes([0; 32])] {
            assert!(!store.touch(&id, &verifier, NOW, later).await.unwrap(), "{change}");
            assert!(!store.renew(&id, &verifier, &verifier, NOW, later).await.unwrap(), "{change}");
            for revision in [0, 1] {
                let saved = store.save(&id, &verifier, revision, &Data::default(), NOW).await.unwrap();
                assert_eq!(saved, exeunt::store::Saved::Gone, "{change}");
            }
        }
        // A page without any would be taken for the end.
        let walked = store.walk(None, 1, NOW).await.unwrap();
        assert_eq!(walked.iter().map(Record::id).collect::<Vec<_>>(), [other], "{change}");
        let listed = store.list(&UserId::from(1), NOW).await.unwrap();
        assert!(listed.iter().all(|record| record.id() != id), "{change}");
        assert_eq!(store.damaged().unwrap(), 1, "{change}");
        assert!(store.destroy(&id).await.unwrap(), "{change}");
        session(&store, 1).await;
    }
}

#[tokio::test]
async fn a_database_without_its_mark_or_with_that_of_another_ends_its_sessions() {
    let folder = folder();
    let path = folder.path().join("a.db");
    let mark = folder.path().join("a.db-mark");
    let store = SqliteStore::open(&path).unwrap();
    session(&store, 1).await;
    drop(store);
    let (file, kept) = (fs::read(&path).unwrap(), fs::read(&mark).unwrap());
    drop(SqliteStore::open(folder.path().join("b.db")).unwrap());
    let other = fs::read(folder.path().join("b.db-mark")).unwrap();
    for (found, loss) in [
        (None, Some(Loss::Unknown)),
        (Some(&b"nonsense"[..]), Some(Loss::Unknown)),
        (Some(&other), Some(Loss::Backup)),
        (Some(&kept), None),
    ] {
        fs::write(&path, &file).unwrap();
        fs::remove_file(&mark).unwrap();
        if let Some(found) = found {
            fs::write(&mark, found).unwrap();
        }
        assert_eq!(Beside::open(&path).unwrap().loss().unwrap(), loss);
        let store = SqliteStore::open(&path).unwrap();
        assert_eq!(store.database().loss(), loss);
        let live = store.walk(None, 9, NOW).await.unwrap().len();
        assert_eq!(live, usize::from(loss.is_none()), "{loss:?}");
        // Which is so for whoever reads it beside its owner, too.
        assert_eq!(Beside::open(&path).unwrap().walk(None, 9, NOW).unwrap().len(), live);
    }
}

#[tokio::test]
async fn no_session_lives_in_a_backup() {
    let folder = folder();
    let (path, copy) = (folder.path().join("a.db"), folder.path().join("copy.db"));
    let store = SqliteStore::open(&path).unwrap();
    session(&store, 1).await;
    Beside::open(&path).unwrap().backup(&copy).unwrap();
    session(&store, 2).await;
    drop(store);
    assert_eq!(Beside::open(&copy).unwrap().loss().unwrap(), Some(Loss::Backup));
    assert_eq!(Beside::open(&copy).unwrap().walk(None, 9, NOW).unwrap(), []);
    // Restored over the one that it is of, whose mark is still there.
    fs::copy(&copy, &path).unwrap();
    for _ in 0..2 {
        let store = SqliteStore::open(&path).unwrap();
        assert_eq!(store.database().loss(), Some(Loss::Backup));
        assert_eq!(store.walk(None, 9, NOW).await.unwrap(), []);
    }
    assert_eq!(Database::accept_loss(&path).unwrap(), Some(Loss::Backup));
    let store = SqliteStore::open(&path).unwrap();
    let id = session(&store, 3).await;
    drop(store);
    let store = SqliteStore::open(&path).unwrap();
    assert_eq!((store.database().loss(), store.load(&id, NOW).await.unwrap().is_some()), (None, true));
}

#[cfg(unix)]
#[test]
fn the_mark_belongs_to_whom_the_file_belongs() {
    use std::os::unix::fs::{MetadataExt as _, chown};
    let folder = folder();
    let (path, mark) = (folder.path().join("a.db"), folder.path().join("a.db-mark"));
    drop(SqliteStore::open(&path).unwrap());
    fs::remove_file(&mark).unwrap();
    // Only root may give it away. It is root whose commands could leave a mark that a server cannot write.
    let _ = chown(&path, Some(10_001), None);
    drop(SqliteStore::open(&path).unwrap());
    assert_eq!(fs::metadata(&mark).unwrap().uid(), fs::metadata(&path).unwrap().uid());
}

#[tokio::test]
async fn a_mark_that_a_power_loss_left_behind_accuses_nobody_and_catches_up() {
    let folder = folder();
    let (path, mark) = (folder.path().join("a.db"), folder.path().join("a.db-mark"));
    let store = SqliteStore::open(&path).unwrap();
    let early = fs::read(&mark).unwrap();
    let id = session(&store, 1).await;
    drop(store);
    let last = fs::read(&mark).unwrap();
    assert_ne!(last, early);
    fs::write(&mark, early).unwrap();
    let database = Database::open(&path).unwrap();
    assert_eq!(fs::read(&mark).unwrap(), last);
    let store = SqliteStore::over(database).unwrap();
    assert_eq!((store.database().loss(), store.load(&id, NOW).await.unwrap().is_some()), (None, true));
}
