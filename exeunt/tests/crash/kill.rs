//! `kill -9` at any moment of a process at work on a SQLite file, its system calls included.
//!
//! The test runs itself again as that process, which says on standard output what people were told.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use exeunt::store::sqlite::SqliteStore;
use exeunt::{Near, SessionId};

use super::chance::Chance;
use super::load::{Book, Event, work};

const FILE: &str = "EXEUNT_TEST_WORKS_ON";
const FIRST: &str = "EXEUNT_TEST_FIRST_ID";
const EARLY: &str = "EXEUNT_TEST_ANSWERS_EARLY";
/// Ids between the first ones of two rounds.
const APART: i64 = 1 << 24;

#[test]
fn what_was_acknowledged_holds_whenever_the_process_is_killed() {
    // R04
    if let Some(file) = std::env::var_os(FILE) {
        return at_work(Path::new(&file));
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.db");
    let rounds = services::rounds(25, 1_000);
    let mut all = Book::default();
    // The same file all along, so that whatever a crash leaves behind is there for the next one.
    for round in 0..rounds {
        let book = until_killed(&file, round, false);
        let broken = check(&file, &book);
        assert!(broken.is_empty(), "round {round}: {broken:?}");
        all.add(book);
    }
    let broken = check(&file, &all);
    assert!(broken.is_empty(), "at the end: {broken:?}");
    assert!(all.ended() > 0 && all.live() > 0, "a process that says nothing shows nothing");
    println!(
        "killed {rounds} times: {} acknowledged logouts and {} acknowledged logins held",
        all.ended(),
        all.live()
    );
}

#[test]
fn a_store_that_acknowledges_too_early_is_found_out() {
    let folder = tempfile::tempdir().unwrap();
    let found = (0..25).any(|round| {
        let file = folder.path().join(format!("{round}.db"));
        let book = until_killed(&file, round, true);
        !check(&file, &book).is_empty()
    });
    assert!(found, "in 25 rounds no logout was lost that was acknowledged before it was done");
}

/// What people were told by a process that works on the file until it is killed.
fn until_killed(file: &Path, round: u32, answers_early: bool) -> Book {
    let mut chance = Chance::new(u64::from(round));
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "kill::what_was_acknowledged_holds_whenever_the_process_is_killed", "--nocapture"])
        .env(FILE, file)
        .env(FIRST, ((i64::from(round) + 1) * APART).to_string())
        .stdout(Stdio::piped());
    if answers_early {
        command.env(EARLY, "1");
    }
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut book = Book::default();
    let mut left = chance.below(300);
    for line in lines.by_ref() {
        let Some(event) = read(&line.unwrap()) else { continue };
        book.note(event);
        if matches!(event, Event::Ended(_)) {
            left = left.saturating_sub(1);
        }
        if left == 0 {
            break;
        }
    }
    chance.spin();
    child.kill().unwrap();
    // What it said until it died counts, too.
    for line in lines {
        read(&line.unwrap()).into_iter().for_each(|event| book.note(event));
    }
    assert_eq!(child.wait().unwrap().signal(), Some(9), "it was at work until then");
    book
}

fn check(file: &Path, book: &Book) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let store = SqliteStore::open(file).unwrap();
    assert_eq!(store.database().loss(), None, "a crash is no damage");
    runtime.block_on(book.broken(&store))
}

fn at_work(file: &Path) {
    let first = std::env::var(FIRST).unwrap().parse().unwrap();
    let answers_early = std::env::var_os(EARLY).is_some();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let store = Arc::new(Near::new(SqliteStore::open(file).unwrap(), 1 << 20));
    runtime.block_on(work(store, first, answers_early, say));
}

/// One line is one write, which a pipe takes as a whole or not at all.
fn say(event: Event) {
    let line = match event {
        Event::Created(id) => format!("@created {id}\n"),
        Event::Ending(id) => format!("@ending {id}\n"),
        Event::Ended(id) => format!("@ended {id}\n"),
    };
    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
}

/// The test harness says something, too, on the line where we begin.
fn read(line: &str) -> Option<Event> {
    let (_, said) = line.rsplit_once('@')?;
    let (event, id) = said.split_once(' ')?;
    let id: SessionId = id.parse().unwrap();
    Some(match event {
        "created" => Event::Created(id),
        "ending" => Event::Ending(id),
        "ended" => Event::Ended(id),
        other => panic!("`{other}` is no event"),
    })
}
