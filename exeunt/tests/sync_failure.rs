//! After a failed fsync nothing more is acknowledged: the kernel may have dropped what it could not write, and says so
//! only once.
//!
//! The test runs itself again with a small C library in front of libc's `fsync`, which fails once a file exists.
#![cfg(all(feature = "sqlite", target_os = "linux"))]
#![expect(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::path::Path;
use std::process::Command;

use exeunt::store::sqlite::{Database, DatabaseError};

const FAILING: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
static int fails(void) {
    const char *mark = getenv("EXEUNT_TEST_SYNC_FAILS_WHILE");
    return mark && access(mark, F_OK) == 0;
}
int fsync(int fd) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    if (fails()) { errno = EIO; return -1; }
    return real(fd);
}
int fdatasync(int fd) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    if (fails()) { errno = EIO; return -1; }
    return real(fd);
}
"#;

#[test]
fn after_a_failed_sync_nothing_is_acknowledged_until_the_process_restarts() {
    if let Some(mark) = std::env::var_os("EXEUNT_TEST_SYNC_FAILS_WHILE") {
        return scenario(Path::new(&mark));
    }
    let folder = tempfile::tempdir().unwrap();
    let (source, library) = (folder.path().join("failing.c"), folder.path().join("failing.so"));
    fs::write(&source, FAILING).unwrap();
    let built =
        Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).arg("-ldl").status();
    assert!(built.expect("this test needs a C compiler, `cc`").success());
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "after_a_failed_sync_nothing_is_acknowledged_until_the_process_restarts",
            "--nocapture",
        ])
        .env("LD_PRELOAD", &library)
        .env("EXEUNT_TEST_SYNC_FAILS_WHILE", folder.path().join("mark"))
        .output()
        .unwrap();
    let shown =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && shown.contains("the scenario ran"), "{shown}");

    // A new process, whose disk works again, finds what was acknowledged.
    let database = Database::open(folder.path().join("a.db")).unwrap();
    let kept: i64 = database
        .read(|connection| {
            let sql = "SELECT count(*) FROM note WHERE text = 'kept'";
            Ok::<_, DatabaseError>(connection.query_row(sql, [], |row| row.get(0))?)
        })
        .unwrap();
    assert_eq!(kept, 1);
}

fn scenario(mark: &Path) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let database = Database::open(mark.with_file_name("a.db")).unwrap();
        database.migrate("notes", &["CREATE TABLE note (text TEXT NOT NULL) STRICT"]).unwrap();
        let add = |text: &'static str| {
            database
                .write(move |tx| Ok::<_, DatabaseError>(tx.execute("INSERT INTO note VALUES (?1)", [text])?))
        };
        add("kept").await.unwrap();
        fs::write(mark, "").unwrap();
        let error = add("lost").await.unwrap_err();
        assert!(error.to_string().contains("the disk failed"), "{error}");
        // The disk works again, but what it dropped meanwhile nobody knows.
        fs::remove_file(mark).unwrap();
        for _ in 0..3 {
            let error = add("later").await.unwrap_err();
            assert!(matches!(error, DatabaseError::SyncFailed), "{error:?}");
            assert!(matches!(database.ping().await, Err(DatabaseError::SyncFailed)));
        }
    });
    println!("the scenario ran");
}
