//! The order of system calls, as `strace` sees it: each answer comes after the sync of its commit, and after the mark.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use exeunt::store::Created;
use exeunt::store::sqlite::SqliteStore;
use exeunt::store::sqlite::rusqlite::Connection;
use exeunt::{Clock as _, Store as _, SystemClock, UserId};

use super::load::record;

const FILE: &str = "EXEUNT_TEST_TRACED";
const BROKEN: &str = "EXEUNT_TEST_TRACED_BROKEN";
const ANSWERS: usize = 100;

/// What matters of a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    /// The log was written.
    Log,
    /// The log was synced.
    Sync,
    /// The mark was written.
    Mark,
    /// Somebody was answered.
    Answer,
}

#[test]
fn each_answer_comes_after_its_sync_and_its_mark() {
    // R02
    if let Some(file) = std::env::var_os(FILE) {
        return traced(Path::new(&file));
    }
    let calls = calls(&trace(false));
    let answers = check(&calls).unwrap();
    println!("{answers} answers, each after the sync of its commit and after the mark");
    assert_eq!(answers, ANSWERS);
}

#[test]
fn a_database_that_does_not_sync_is_found_out() {
    let calls = calls(&trace(true));
    assert!(calls.contains(&Call::Log) && calls.contains(&Call::Answer), "{calls:?}");
    assert_eq!(check(&calls), Err("an answer before the log was synced"));
}

#[test]
fn every_wrong_order_is_found_out() {
    use Call::{Answer, Log, Mark, Sync};
    assert_eq!(check(&[Log, Sync, Mark, Answer, Log, Log, Sync, Mark, Answer]), Ok(2));
    for (calls, wrong) in [
        (&[Log, Mark, Sync, Answer][..], "a mark before the log was synced"),
        (&[Log, Sync, Answer, Mark], "an answer before its mark"),
        (&[Log, Answer, Sync, Mark], "an answer before the log was synced"),
        (&[Log, Sync, Mark, Answer, Answer], "an answer before its mark"),
    ] {
        assert_eq!(check(calls), Err(wrong), "{calls:?}");
    }
    let trace = "7 pwrite64(8</x/a.db-wal>, \"\"..., 32, 0) = 32\n\
                 7 fsync(8</x/a.db-wal> <unfinished ...>\n\
                 8 write(1<pipe:[5]>, \"@answer\\n\", 8) = 8\n\
                 7 <... fsync resumed>) = 0\n";
    assert_eq!(check(&calls(trace)), Err("an answer before the log was synced"));
}

/// How many answers there are, each after what has to come before it.
fn check(calls: &[Call]) -> Result<usize, &'static str> {
    let (mut is_synced, mut is_marked, mut answers) = (true, false, 0);
    for call in calls {
        match call {
            Call::Log => (is_synced, is_marked) = (false, false),
            Call::Sync => is_synced = true,
            Call::Mark if !is_synced => return Err("a mark before the log was synced"),
            Call::Mark => is_marked = true,
            Call::Answer if !is_synced => return Err("an answer before the log was synced"),
            Call::Answer if !is_marked => return Err("an answer before its mark"),
            // The next one needs a mark of its own.
            Call::Answer => (is_marked, answers) = (false, answers + 1),
        }
    }
    Ok(answers)
}

/// Each line is `process call(descriptor<path>, ...) = result`. A call that others interrupt is in two lines: a write counts
/// from the first, a sync from the last.
fn calls(trace: &str) -> Vec<Call> {
    let mut syncing = std::collections::HashSet::new();
    let mut calls = Vec::new();
    for line in trace.lines() {
        let Some((process, call)) = line.trim_start().split_once(char::is_whitespace) else { continue };
        let call = call.trim_start();
        let is_sync = call.starts_with("fsync(") || call.starts_with("fdatasync(");
        if is_sync && call.contains("-wal>") {
            match call.contains("<unfinished") {
                true => drop(syncing.insert(process)),
                false => calls.push(Call::Sync),
            }
        } else if call.contains("sync resumed>") && syncing.remove(process) {
            calls.push(Call::Sync);
        } else if call.starts_with("pwrite64(") && call.contains("-wal>") {
            calls.push(Call::Log);
        } else if call.starts_with("write(") && call.contains("-mark>") {
            calls.push(Call::Mark);
        } else if call.starts_with("write(") && call.contains("@answer") {
            calls.push(Call::Answer);
        }
    }
    calls
}

/// What `strace` says of a process that logs people in and out.
fn trace(is_broken: bool) -> String {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("trace");
    let mut command = Command::new("strace");
    command
        .args(["-f", "-y", "-e", "trace=pwrite64,write,fsync,fdatasync", "-o"])
        .arg(&output)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "order::each_answer_comes_after_its_sync_and_its_mark", "--nocapture"])
        .env(FILE, folder.path().join("a.db"));
    if is_broken {
        command.env(BROKEN, "1");
    }
    let ran = command.output().expect("this test needs `strace`");
    assert!(ran.status.success(), "{ran:?}");
    String::from_utf8_lossy(&std::fs::read(output).unwrap()).into_owned()
}

fn traced(file: &Path) {
    if std::env::var_os(BROKEN).is_some() {
        return without_sync(file);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = SqliteStore::open(file).unwrap();
        let user = UserId::from(1);
        for number in 0..i64::try_from(ANSWERS / 2).unwrap() {
            let record = record(number + 1, &user, SystemClock::new().now());
            assert_eq!(store.create(&record, 1_000).await.unwrap(), Created::Yes { ended: vec![] });
            answer();
            assert!(store.destroy(&record.id()).await.unwrap());
            answer();
        }
    });
}

/// A database as it should not be.
fn without_sync(file: &Path) {
    let connection = Connection::open(file).unwrap();
    connection
        .execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; CREATE TABLE session (id)")
        .unwrap();
    for _ in 0..ANSWERS {
        connection.execute("INSERT INTO session VALUES (1)", []).unwrap();
        answer();
    }
}

fn answer() {
    std::io::stdout().lock().write_all(b"@answer\n").unwrap();
}
