//! Sessions and accounts from any place to any other, over real engines.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use exeunt::store::sqlite::rusqlite::Connection;
use exeunt::{
    Extend, LoggedIn, LoginOptions, Record, SessionId, Sessions, Store, Token, UserId, Users, UsersError,
    Verified,
};
use exeunt_server::accounts::copy::AccountsCopied;
use exeunt_server::accounts::{AccountError, Accounts, Cost, Credentials, Hasher};
use exeunt_server::admin::{Code, Failure};
use exeunt_server::backup::backup;
use exeunt_server::config::{Config, Options, Place};
use exeunt_server::copy::{Copied, Only, Order, SessionsCopied, copy};
use exeunt_server::engines::Engines;
use services::{Postgres, Redis};
use tempfile::TempDir;

const ONE: &str = "one horse, battery, staple";
const TWO: &str = "two horses, battery, staple";
const THREE: &str = "three horses, battery, staple";
const FOUR: &str = "four horses, battery, staple";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Engine {
    File,
    Redis,
    Postgres,
}

fn postgres() -> &'static Postgres {
    static SERVER: OnceLock<Postgres> = OnceLock::new();
    SERVER.get_or_init(|| Postgres::start(&[]).unwrap())
}

fn redis() -> &'static Redis {
    static SERVER: OnceLock<Redis> = OnceLock::new();
    SERVER.get_or_init(|| Redis::start(&[]).unwrap())
}

impl Engine {
    /// A place of this kind where nothing is yet.
    fn fresh(self, folder: &TempDir) -> Place {
        static NUMBERS: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        let text = match self {
            Self::File => folder.path().join(format!("{number}.db")).to_str().unwrap().to_owned(),
            Self::Redis => format!("{}?deadline=10s&prefix=copy{number}:", redis().url()),
            Self::Postgres => {
                postgres().psql("postgres", &format!("CREATE SCHEMA copy_{number}")).unwrap();
                let url = postgres().url("postgres");
                format!("{url}?deadline=10s&pool=4&options=-csearch_path%3Dcopy_{number}")
            }
        };
        text.parse().unwrap()
    }
}

/// What a server has open.
struct Open {
    engines: Engines,
    store: Arc<dyn Store>,
    sessions: Sessions,
    accounts: Option<Accounts>,
}

impl Open {
    async fn on(place: &Place) -> Self {
        // Where there are no accounts the configuration wants another place for them, which nobody looks at.
        let elsewhere = tempfile::tempdir().unwrap();
        let accounts = match place.keeps_accounts() {
            true => None,
            false => Some(elsewhere.path().join("a.db").into()),
        };
        let options = Options { store: Some(place.clone()), accounts, ..Options::default() };
        let config = Config::decide(options).unwrap();
        // A child that another test is just starting has all of our descriptors, and so the lock of a file that was
        // closed, until it becomes its program a moment later.
        let engines = loop {
            match Engines::open(&config).await {
                Err(error) if error.locked().is_some() => tokio::task::yield_now().await,
                opened => break opened.unwrap(),
            }
        };
        let store = engines.store(0).await.unwrap();
        let sessions = Sessions::over(Arc::clone(&store));
        let accounts = match place.keeps_accounts() {
            true => Some(engines.accounts(&sessions, hasher()).await.unwrap()),
            false => None,
        };
        Self { engines, store, sessions, accounts }
    }

    async fn log_in(&self, user: &str) -> Token {
        self.logged_in(user).await.token
    }

    async fn logged_in(&self, user: &str) -> LoggedIn {
        let login = self.sessions.login(&Anybody, user.to_owned(), LoginOptions::default()).await;
        login.unwrap().unwrap()
    }

    async fn all(&self) -> Vec<Record> {
        self.store.walk(None, usize::MAX, self.sessions.now()).await.unwrap()
    }

    async fn knows(&self, token: &Token) -> bool {
        self.sessions.resume(token, Extend::No).await.unwrap().is_some()
    }

    fn accounts(&self) -> &Accounts {
        self.accounts.as_ref().unwrap()
    }

    fn close(self) {
        self.engines.close();
    }
}

fn hasher() -> Hasher {
    Hasher::with(Cost { memory_kib: 8, passes: 1, lanes: 1 }, 2, 100).unwrap()
}

/// Lets in whoever says a name.
struct Anybody;

impl Users for Anybody {
    type Credentials = String;

    async fn verify(&self, name: String) -> Result<Option<Verified>, UsersError> {
        Ok(Some(Verified::new(UserId::new(name).unwrap(), 0)))
    }

    async fn is_current(&self, _: &Verified) -> Result<bool, UsersError> {
        Ok(true)
    }
}

fn order(from: &Place, to: &Place) -> Order {
    Order { from: from.clone(), to: to.clone(), only: None, last: false }
}

async fn once(order: Order) -> Result<Copied, Failure> {
    copy(&order, &|_| ()).await
}

async fn is_refused(order: Order, code: Code, said: &str) {
    let failure = once(order).await.unwrap_err();
    assert_eq!(failure.code, code, "{failure}");
    assert!(failure.message.contains(said), "{failure}");
}

async fn sessions_move(from: Engine, to: Engine) {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (from.fresh(&folder), to.fresh(&folder));
    let order = || Order { only: Some(Only::Sessions), ..order(&from, &to) };
    let server = Open::on(&from).await;
    let mut tokens = Vec::new();
    for number in 0..40 {
        tokens.push(server.log_in(&format!("user {}", number % 7)).await);
    }
    // While the server runs.
    let copied = once(order()).await.unwrap();
    let expected = SessionsCopied { made: 40, ..SessionsCopied::default() };
    assert_eq!((copied.sessions, copied.accounts), (Some(expected), None));
    let there = Open::on(&to).await;
    assert_eq!(there.all().await, server.all().await);
    there.close();

    // Again: one ended, one came, one was renewed, one has data now.
    let [gone, renewed, written, kept, ..] = tokens.as_slice() else { panic!("there are forty") };
    assert!(server.sessions.logout(gone).await.unwrap());
    let record = server.sessions.resume(renewed, Extend::No).await.unwrap().unwrap();
    let new_secret = server.sessions.renew(&record).await.unwrap().unwrap().token;
    let record = server.sessions.resume(written, Extend::No).await.unwrap().unwrap();
    server.sessions.update(&record, |data| data.set("colour", "green")).await.unwrap();
    let came = server.log_in("user 1").await;
    let copied = once(order()).await.unwrap();
    let expected = SessionsCopied { made: 1, changed: 2, same: 37, removed: 0, left: 1 };
    assert_eq!(copied.sessions, Some(expected));
    assert!(copied.notes.last().unwrap().contains("--final"), "{copied:?}");
    assert!(
        copied.notes.last().unwrap().contains("not in")
            && copied.notes.last().unwrap().contains("any more: 1."),
        "{copied:?}"
    );
    let records = server.all().await;
    server.close();

    // The last pass.
    let last = || Order { last: true, ..order() };
    let copied = once(last()).await.unwrap();
    let expected = SessionsCopied { made: 0, changed: 0, same: 40, removed: 1, left: 0 };
    assert_eq!(copied.sessions, Some(expected));
    let copied = once(last()).await.unwrap();
    assert_eq!(copied.sessions, Some(SessionsCopied { same: 40, ..SessionsCopied::default() }));

    let there = Open::on(&to).await;
    assert_eq!(there.all().await, records);
    assert!(!there.knows(gone).await);
    assert!(!there.knows(renewed).await, "its secret was replaced");
    for token in [&new_secret, written, kept, &came] {
        assert!(there.knows(token).await);
    }
    let record = there.sessions.resume(written, Extend::No).await.unwrap().unwrap();
    assert_eq!(record.data().get::<String>("colour").unwrap().unwrap(), "green");
    // The index of users came along.
    let user = UserId::new("user 3").unwrap();
    assert_eq!(there.sessions.logout_all(&user, None).await.unwrap().len(), 6);
    assert!(!there.knows(kept).await);
    there.close();
}

macro_rules! from_each_to_each {
    ($($name:ident: $from:ident $to:ident,)*) => {
        mod sessions_live_on_from {
            $(#[tokio::test] async fn $name() { super::sessions_move(super::Engine::$from, super::Engine::$to).await; })*
        }
    };
}

from_each_to_each!(
    a_file_to_a_file: File File,
    a_file_to_redis: File Redis,
    a_file_to_postgres: File Postgres,
    redis_to_a_file: Redis File,
    redis_to_redis: Redis Redis,
    redis_to_postgres: Redis Postgres,
    postgres_to_a_file: Postgres File,
    postgres_to_redis: Postgres Redis,
    postgres_to_postgres: Postgres Postgres,
);

async fn log_in_at(open: &Open, name: &str, password: &str) -> Option<LoggedIn> {
    let credentials = Credentials { username: name.to_owned(), password: password.to_owned() };
    open.sessions.login(open.accounts(), credentials, LoginOptions::default()).await.unwrap()
}

/// `R19`: a number is never given twice, wherever the accounts are.
async fn accounts_move(from: Engine, to: Engine) {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (from.fresh(&folder), to.fresh(&folder));
    let server = Open::on(&from).await;
    let now = server.sessions.now();
    for name in ["Anna", "Bert", "Carl", "Dora"] {
        server.accounts().add(name, ONE, name == "Anna", now).await.unwrap();
    }
    server.accounts().disable("bert").await.unwrap();
    server.accounts().set_password("carl", TWO).await.unwrap();
    let session = log_in_at(&server, "anna", ONE).await.unwrap();

    let copied = once(order(&from, &to)).await.unwrap();
    assert_eq!(copied.accounts, Some(AccountsCopied { made: 4, ..AccountsCopied::default() }));
    assert_eq!(copied.sessions.unwrap().made, 1);

    server.accounts().set_email("carl", Some("carl@example.org")).await.unwrap();
    // The greatest number goes, and one of its name comes.
    server.accounts().remove("dora").await.unwrap();
    server.accounts().add("DORA", THREE, false, now).await.unwrap();
    server.accounts().remove("dora").await.unwrap();
    server.accounts().set_password("anna", FOUR).await.unwrap();
    let anna = log_in_at(&server, "anna", FOUR).await.unwrap();
    let expected = server.accounts().list().await.unwrap();
    let copied = once(order(&from, &to)).await.unwrap();
    assert_eq!(copied.accounts, Some(AccountsCopied { made: 0, changed: 2, same: 1, removed: 1 }));
    server.close();
    let copied = once(Order { last: true, ..order(&from, &to) }).await.unwrap();
    assert_eq!(copied.accounts, Some(AccountsCopied { same: 3, ..AccountsCopied::default() }));
    assert_eq!(copied.sessions.unwrap().removed, 1);

    let there = Open::on(&to).await;
    assert_eq!(there.accounts().list().await.unwrap(), expected);
    assert!(there.knows(&anna.token).await);
    assert!(!there.knows(&session.token).await, "it ended with the old password");
    assert!(log_in_at(&there, "anna", ONE).await.is_none());
    assert!(log_in_at(&there, "anna", FOUR).await.is_some());
    assert!(log_in_at(&there, "carl", TWO).await.is_some());
    assert!(log_in_at(&there, "bert", ONE).await.is_none(), "disabled");
    assert!(matches!(there.accounts().add("CARL", ONE, false, now).await, Err(AccountError::NameTaken)));
    assert_eq!(there.accounts().add("Emil", ONE, false, now).await.unwrap().id, 6);
    there.close();

    // What was changed there since would be undone.
    is_refused(Order { only: Some(Only::Accounts), ..order(&from, &to) }, Code::AlreadyExists, "number 6")
        .await;
    let there = Open::on(&to).await;
    there.accounts().remove("emil").await.unwrap();
    there.close();
    is_refused(Order { only: Some(Only::Accounts), ..order(&from, &to) }, Code::Failed, "number 6").await;
}

mod accounts_stay_who_they_are_from {
    use super::{Engine, accounts_move};

    #[tokio::test]
    async fn a_file_to_a_file() {
        accounts_move(Engine::File, Engine::File).await;
    }

    #[tokio::test]
    async fn a_file_to_postgres() {
        accounts_move(Engine::File, Engine::Postgres).await;
    }

    #[tokio::test]
    async fn postgres_to_a_file() {
        accounts_move(Engine::Postgres, Engine::File).await;
    }

    #[tokio::test]
    async fn postgres_to_postgres() {
        accounts_move(Engine::Postgres, Engine::Postgres).await;
    }
}

#[tokio::test]
async fn where_all_accounts_were_removed_their_numbers_are_still_not_given_again() {
    for (from, to) in [(Engine::File, Engine::Postgres), (Engine::Postgres, Engine::File)] {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (from.fresh(&folder), to.fresh(&folder));
        let server = Open::on(&from).await;
        server.accounts().add("anna", ONE, false, server.sessions.now()).await.unwrap();
        server.accounts().remove("anna").await.unwrap();
        server.close();
        for _ in 0..2 {
            once(Order { last: true, ..order(&from, &to) }).await.unwrap();
        }
        let there = Open::on(&to).await;
        assert_eq!(there.accounts().add("bert", ONE, false, there.sessions.now()).await.unwrap().id, 2);
        there.close();
    }
}

#[tokio::test]
async fn a_number_that_no_sequence_gave_is_not_given_again_either() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (Engine::Postgres.fresh(&folder), Engine::Postgres.fresh(&folder));
    Open::on(&from).await.close();
    let sql = format!(
        "INSERT INTO {}.exeunt_accounts (id, name, folded, password, admin, created_at)
         VALUES (7, 'anna', 'anna', 'phc', FALSE, 0)",
        to_schema(&from)
    );
    postgres().psql("postgres", &sql).unwrap();
    once(Order { only: Some(Only::Accounts), ..order(&from, &to) }).await.unwrap();
    let there = Open::on(&to).await;
    assert_eq!(there.accounts().add("bert", ONE, false, there.sessions.now()).await.unwrap().id, 8);
}

#[tokio::test]
async fn a_file_of_the_version_before_addresses_is_copied() {
    let folder = tempfile::tempdir().unwrap();
    for engine in [Engine::File, Engine::Postgres] {
        let (from, to) = (Engine::File.fresh(&folder), engine.fresh(&folder));
        let server = Open::on(&from).await;
        server.accounts().add("anna", ONE, false, server.sessions.now()).await.unwrap();
        server.close();
        let old = Connection::open(from.file().unwrap()).unwrap();
        old.execute_batch(
            "DROP TRIGGER reset_link_of_removed_account; DROP TABLE reset_links; DROP INDEX accounts_by_email;
             DROP INDEX administrators;
             ALTER TABLE accounts DROP COLUMN email; ALTER TABLE accounts DROP COLUMN email_folded;
             UPDATE migration SET version = 4 WHERE component = 'accounts'",
        )
        .unwrap();
        drop(old);
        once(order(&from, &to)).await.unwrap();
        let there = Open::on(&to).await;
        let anna = there.accounts().find("anna").await.unwrap().unwrap();
        assert_eq!((anna.id, anna.email), (1, None));
        assert!(log_in_at(&there, "anna", ONE).await.is_some());
    }
}

#[tokio::test]
async fn redis_keeps_no_accounts_and_that_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let (file, redis) = (Engine::File.fresh(&folder), Engine::Redis.fresh(&folder));
    let server = Open::on(&file).await;
    server.accounts().add("anna", ONE, false, server.sessions.now()).await.unwrap();
    let token = log_in_at(&server, "anna", ONE).await.unwrap().token;
    let copied = once(order(&file, &redis)).await.unwrap();
    assert_eq!((copied.sessions.unwrap().made, copied.accounts), (1, None));
    assert!(copied.notes[0].contains("Redis keeps no accounts: 1 stay in"), "{copied:?}");
    assert!(Open::on(&redis).await.knows(&token).await);
    for (from, to) in [(&file, &redis), (&redis, &file)] {
        let order = Order { only: Some(Only::Accounts), ..order(from, to) };
        is_refused(order, Code::Usage, "Redis keeps no accounts").await;
    }
    let other = Engine::File.fresh(&folder);
    let copied = once(order(&redis, &other)).await.unwrap();
    assert!(copied.notes[0].contains("sessions alone were copied"), "{copied:?}");
}

#[tokio::test]
async fn a_place_that_was_used_since_is_left_alone() {
    for to in [Engine::File, Engine::Redis, Engine::Postgres] {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (Engine::File.fresh(&folder), to.fresh(&folder));
        let server = Open::on(&from).await;
        let ended = server.log_in("anna").await;
        let used = server.log_in("anna").await;
        server.close();
        once(Order { last: true, ..order(&from, &to) }).await.unwrap();
        let there = Open::on(&to).await;
        assert!(there.sessions.logout(&ended).await.unwrap());
        let record = there.sessions.resume(&used, Extend::No).await.unwrap().unwrap();
        there.sessions.update(&record, |data| data.set("colour", "green")).await.unwrap();
        there.close();
        for last in [false, true] {
            is_refused(Order { last, ..order(&from, &to) }, Code::Failed, "TO was used since").await;
        }
        let there = Open::on(&to).await;
        assert!(!there.knows(&ended).await, "a session that ended there came back");
        there.close();
    }
}

#[tokio::test]
async fn who_owns_a_file_is_not_worked_around() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (Engine::File.fresh(&folder), Engine::File.fresh(&folder));
    is_refused(order(&from, &to), Code::Store, "there is no store at").await;
    assert!(!from.file().unwrap().exists() && !to.file().unwrap().exists());
    let server = Open::on(&from).await;
    is_refused(Order { last: true, ..order(&from, &to) }, Code::Store, "in use").await;
    is_refused(order(&from, &from), Code::Usage, "one place").await;
    let other = Open::on(&to).await;
    is_refused(order(&from, &to), Code::Store, "in use").await;
    other.close();
    server.close();
}

#[tokio::test]
async fn the_last_pass_waits_for_what_a_change_left() {
    let folder = tempfile::tempdir().unwrap();
    let (file, to) = (Engine::File.fresh(&folder), Engine::Postgres.fresh(&folder));
    let server = Open::on(&file).await;
    server.accounts().add("anna", ONE, false, server.sessions.now()).await.unwrap();
    server.close();
    let connection = exeunt::store::sqlite::rusqlite::Connection::open(file.file().unwrap()).unwrap();
    connection.execute("INSERT INTO endings (user, reason, at) VALUES ('1', 'test', 0)", []).unwrap();
    drop(connection);
    let last = Order { last: true, only: Some(Only::Accounts), ..order(&file, &to) };
    is_refused(last, Code::Store, "still has to end the sessions of 1").await;
}

#[tokio::test]
async fn an_expired_session_in_the_way_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (Engine::File.fresh(&folder), Engine::Postgres.fresh(&folder));
    let server = Open::on(&from).await;
    let token = server.log_in("anna").await;
    once(order(&from, &to)).await.unwrap();
    // As if it had not been seen for long when it was copied.
    let schema = to_schema(&to);
    postgres().psql("postgres", &format!("UPDATE {schema}.exeunt_sessions SET expires_at = 1")).unwrap();
    let copied = once(order(&from, &to)).await.unwrap();
    assert_eq!(copied.sessions.unwrap().made, 1);
    assert!(Open::on(&to).await.knows(&token).await);
    server.close();
}

fn to_schema(place: &Place) -> String {
    let Place::Postgres(address) = place else { panic!("{place}") };
    address.expose().rsplit("%3D").next().unwrap().to_owned()
}

#[tokio::test]
async fn a_last_pass_from_where_nothing_is_removes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (wrong, to) = (Engine::File.fresh(&folder), Engine::Redis.fresh(&folder));
    Open::on(&wrong).await.close();
    let server = Open::on(&to).await;
    let token = server.log_in("anna").await;
    let last = Order { last: true, only: Some(Only::Sessions), ..order(&wrong, &to) };
    is_refused(last, Code::Failed, "is it the right database or prefix").await;
    assert!(server.knows(&token).await);
}

#[tokio::test]
async fn a_backup_of_a_file_at_work_is_whole_private_and_never_overwrites() {
    let folder = tempfile::tempdir().unwrap();
    let place = Engine::File.fresh(&folder);
    let server = Open::on(&place).await;
    server.accounts().add("anna", ONE, false, server.sessions.now()).await.unwrap();
    let token = log_in_at(&server, "anna", ONE).await.unwrap().token;
    let file = folder.path().join("backup.db");
    let bytes = backup(&place, &file).unwrap();
    let metadata = std::fs::metadata(&file).unwrap();
    assert_eq!((metadata.len(), metadata.permissions().mode() & 0o777), (bytes, 0o600));
    assert_eq!(backup(&place, &file).unwrap_err().code, Code::AlreadyExists);
    assert_eq!(std::fs::metadata(&file).unwrap().len(), bytes);
    // What an earlier one that was cut off left is nothing to go on with, and nothing to take for a backup.
    std::fs::write(folder.path().join("other.db.part"), "half").unwrap();
    assert!(backup(&place, &folder.path().join("other.db")).unwrap_err().message.contains("other.db.part"));
    let left: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.contains(&"backup.db.part".into()) && !left.contains(&"other.db".into()), "{left:?}");
    // It ends after the backup, and before it is restored.
    server.sessions.logout(&token).await.unwrap();
    server.close();

    let restored = Open::on(&file.clone().into()).await;
    assert!(!restored.knows(&token).await, "no session lives in a backup");
    assert_eq!(restored.accounts().list().await.unwrap().len(), 1);
    restored.close();
    let there_is_none = backup(&folder.path().join("none.db").into(), &folder.path().join("b.db"));
    assert_eq!(there_is_none.unwrap_err().code, Code::Store);
    assert!(!folder.path().join("b.db").exists() && !folder.path().join("none.db").exists());
    for (engine, means) in [(Engine::Redis, "append-only file"), (Engine::Postgres, "pg_dump")] {
        let failure = backup(&engine.fresh(&folder), &folder.path().join("b.db")).unwrap_err();
        assert!(failure.message.contains(means), "{failure}");
    }
}

#[tokio::test]
async fn a_damaged_file_is_not_copied_before_the_loss_is_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (Engine::File.fresh(&folder), Engine::File.fresh(&folder));
    let server = Open::on(&from).await;
    let token = server.log_in("anna").await;
    server.close();
    let file = from.file().unwrap();
    std::fs::remove_file(format!("{}-mark", file.display())).unwrap();
    for last in [false, true] {
        is_refused(Order { last, ..order(&from, &to) }, Code::Store, "exeunt store accept-loss").await;
    }
    let accept = ["store", "accept-loss", "--store", file.to_str().unwrap()];
    let said = exeunt(folder.path(), &accept);
    let text = String::from_utf8(said.stdout).unwrap();
    assert!(said.status.success() && text.starts_with("accepted: "), "{text}");
    let said = String::from_utf8(exeunt(folder.path(), &accept).stdout).unwrap();
    assert!(said.contains("nothing is missing"), "{said}");
    let copied = copy(&order(&from, &to), &|_| ()).await.unwrap();
    assert_eq!(copied.sessions.unwrap().seen(), 0);
    assert!(!Open::on(&to).await.knows(&token).await);
    let nowhere = exeunt(folder.path(), &["store", "accept-loss", "--store", "none.db"]);
    assert_eq!(nowhere.status.code(), Some(5), "{nowhere:?}");
    let elsewhere = exeunt(folder.path(), &["store", "accept-loss", "--store", "postgres://127.0.0.1/none"]);
    assert_eq!(elsewhere.status.code(), Some(2), "{elsewhere:?}");
}

#[tokio::test]
async fn a_file_that_is_not_ours_is_neither_copied_nor_backed_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.db");
    let connection = exeunt::store::sqlite::rusqlite::Connection::open(&path).unwrap();
    connection.execute_batch("CREATE TABLE accounts (id)").unwrap();
    let place: Place = path.into();
    is_refused(order(&place, &Engine::File.fresh(&folder)), Code::Store, "not a database of exeunt").await;
    assert!(backup(&place, &folder.path().join("b.db")).is_err());
}

fn exeunt(folder: &Path, arguments: &[&str]) -> std::process::Output {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_exeunt"));
    command.env_clear().current_dir(folder).args(arguments).output().unwrap()
}

/// The SQL that `exeunt store schema` prints, applied by hand twice.
#[tokio::test]
async fn the_printed_schema_is_all_that_a_role_without_the_right_to_make_tables_needs() {
    let folder = tempfile::tempdir().unwrap();
    let url = postgres().new_database().unwrap();
    let database = url.rsplit('/').next().unwrap();
    let sql = exeunt(folder.path(), &["store", "schema"]);
    assert!(sql.status.success());
    let sql = String::from_utf8(sql.stdout).unwrap();
    for _ in 0..2 {
        postgres().psql(database, &sql).unwrap();
    }
    let role = format!("plain_{database}");
    let rights = format!(
        "CREATE ROLE {role} LOGIN; REVOKE CREATE ON SCHEMA public FROM public;
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role};
         GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role}"
    );
    postgres().psql(database, &rights).unwrap();
    let place: Place = url.replace("postgres@", &format!("{role}@")).parse().unwrap();
    let server = Open::on(&place).await;
    server.accounts().add("anna", ONE, true, server.sessions.now()).await.unwrap();
    assert!(log_in_at(&server, "anna", ONE).await.is_some());
    let only = exeunt(folder.path(), &["store", "schema", "--only", "sessions"]);
    assert!(!String::from_utf8(only.stdout).unwrap().contains("exeunt_accounts"));
}

#[test]
fn the_command_prints_counts_and_what_to_do_next() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let id: SessionId = runtime.block_on(async {
        let server = Open::on(&folder.path().join("a.db").into()).await;
        let login = server.logged_in("anna").await;
        server.close();
        login.record.id()
    });
    let said = exeunt(folder.path(), &["store", "copy", "a.db", "b.db"]);
    let text = String::from_utf8(said.stdout).unwrap();
    assert!(text.starts_with("sessions: 1 copied, 0 brought up to date"), "{text}");
    assert!(text.contains("copy once more with --final"), "{text}");
    assert_eq!(said.stderr, b"", "nobody watches");
    let said = exeunt(folder.path(), &["store", "copy", "a.db", "b.db", "--final", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!(json["copied"]["sessions"]["same"], 1, "{json}");
    assert_eq!(json["copied"]["accounts"]["made"], 0, "{json}");
    let list = exeunt(folder.path(), &["session", "list", "--store", "b.db", "--json"]);
    let list: serde_json::Value = serde_json::from_slice(&list.stdout).unwrap();
    assert_eq!(list["sessions"][0]["id"], id.to_string());
    let said = exeunt(folder.path(), &["store", "backup", "c.db", "--store", "b.db"]);
    let text = String::from_utf8(said.stdout).unwrap();
    assert!(text.starts_with("done: ") && text.contains("exeunt store accept-loss"), "{text}");
    let refused = exeunt(folder.path(), &["store", "backup", "c.db", "--store", "b.db", "--json"]);
    assert_eq!(refused.status.code(), Some(4), "{refused:?}");
    // Names that SQLite itself would take for URLs, of another file.
    std::fs::copy(folder.path().join("b.db"), folder.path().join("file:e.db")).unwrap();
    let said = exeunt(folder.path(), &["store", "backup", "file:d.db?mode=ro", "--store", "file:e.db"]);
    assert!(said.status.success(), "{said:?}");
    assert!(std::fs::metadata(folder.path().join("file:d.db?mode=ro")).unwrap().len() > 0);
    let usage = exeunt(folder.path(), &["store", "copy", "a.db", "mysql://u:hush@h/d"]);
    assert_eq!(usage.status.code(), Some(2), "{usage:?}");
    assert!(!String::from_utf8_lossy(&usage.stderr).contains("hush"), "{usage:?}");
}
