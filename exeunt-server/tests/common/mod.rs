//! What keeps sessions and accounts in a test: every combination that the server knows.
//!
//! Must never share a place between two tests. The real servers are one of a kind in a test program, and end with it.

use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use exeunt_server::config::{Config, Options};
use exeunt_server::engines::Engines;
use services::{Postgres, Redis};

/// A combination of engines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// Both in one SQLite file.
    OneFile,
    /// Each in a SQLite file of its own.
    TwoFiles,
    /// Both in one PostgreSQL database.
    Postgres,
    /// Sessions in a SQLite file, accounts in PostgreSQL.
    FileAndPostgres,
    /// Sessions in Redis, accounts in a SQLite file.
    RedisAndFile,
    /// Sessions in Redis, accounts in PostgreSQL.
    RedisAndPostgres,
}

/// Where sessions and accounts of one test are.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    pub(crate) store: String,
    pub(crate) accounts: Option<String>,
}

impl Kept {
    /// Where nothing is yet; files are in `folder`.
    pub(crate) fn fresh(self, folder: &Path) -> Places {
        let file = |name: &str| folder.join(name).to_str().expect("a folder of ours").to_owned();
        let (store, accounts) = match self {
            Self::OneFile => (file("exeunt.db"), None),
            Self::TwoFiles => (file("sessions.db"), Some(file("accounts.db"))),
            Self::Postgres => (postgres_schema(), None),
            Self::FileAndPostgres => (file("sessions.db"), Some(postgres_schema())),
            Self::RedisAndFile => (redis_prefix(), Some(file("exeunt.db"))),
            Self::RedisAndPostgres => (redis_prefix(), Some(postgres_schema())),
        };
        Places { store, accounts }
    }
}

impl Places {
    /// The configuration of a server on them.
    fn config(&self) -> Config {
        let store = Some(self.store.parse().expect("it names a place"));
        let accounts = self.accounts.as_ref().map(|place| place.parse().expect("it names a place"));
        Config::decide(Options { store, accounts, ..Options::default() }).expect("they go together")
    }

    /// Opens them in this process. A child that another test is just starting has all of our descriptors, and so the lock
    /// of a file that was closed, until it becomes its program a moment later.
    pub(crate) async fn open(&self) -> Engines {
        let began = Instant::now();
        loop {
            match Engines::open(&self.config()).await {
                Err(error) if error.locked().is_some() && began.elapsed() < Duration::from_secs(10) => {
                    tokio::task::yield_now().await;
                }
                opened => return opened.expect("nobody else has it open"),
            }
        }
    }
}

/// The server that all tests of a program share.
pub(crate) fn postgres() -> &'static Postgres {
    static SERVER: OnceLock<Postgres> = OnceLock::new();
    SERVER.get_or_init(|| Postgres::start(&[]).expect("PostgreSQL is installed and starts"))
}

/// The URL of a new, empty schema. Tests run side by side on few cores: the deadline is as long as it can be.
fn postgres_schema() -> String {
    let schema = format!("schema_{}", number());
    postgres().psql("postgres", &format!("CREATE SCHEMA {schema}")).expect("the server answers");
    format!("{}?deadline=10s&pool=4&options=-csearch_path%3D{schema}", postgres().url("postgres"))
}

/// As [`postgres`].
pub(crate) fn redis() -> &'static Redis {
    static SERVER: OnceLock<Redis> = OnceLock::new();
    SERVER.get_or_init(|| Redis::start(&[]).expect("Redis is installed and starts"))
}

/// The URL of a new prefix.
fn redis_prefix() -> String {
    format!("{}?deadline=10s&prefix=test{}:", redis().url(), number())
}

fn number() -> usize {
    static NUMBERS: AtomicUsize = AtomicUsize::new(0);
    NUMBERS.fetch_add(1, Ordering::Relaxed)
}

/// Makes a module of tests for each combination, `async` ones if that word stands in front. A test that is not named here
/// is dead code, which is a warning.
macro_rules! on_every_engine {
    (async $($test:ident),* $(,)?) => { crate::common::on_every_engine!(@each awaited $($test),*); };
    ($($test:ident),* $(,)?) => { crate::common::on_every_engine!(@each plain $($test),*); };
    (@each $how:ident $($test:ident),*) => {
        crate::common::on_every_engine!(@one $how one_file OneFile $($test),*);
        crate::common::on_every_engine!(@one $how two_files TwoFiles $($test),*);
        crate::common::on_every_engine!(@one $how postgres Postgres $($test),*);
        crate::common::on_every_engine!(@one $how file_and_postgres FileAndPostgres $($test),*);
        crate::common::on_every_engine!(@one $how redis_and_file RedisAndFile $($test),*);
        crate::common::on_every_engine!(@one $how redis_and_postgres RedisAndPostgres $($test),*);
    };
    (@one plain $module:ident $kept:ident $($test:ident),*) => {
        mod $module {
            $(#[test] fn $test() { super::$test(crate::common::Kept::$kept); })*
        }
    };
    (@one awaited $module:ident $kept:ident $($test:ident),*) => {
        mod $module {
            $(#[tokio::test] async fn $test() { super::$test(crate::common::Kept::$kept).await; })*
        }
    };
}

pub(crate) use on_every_engine;
