use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Result;

use crate::process::wait_for;
use crate::{Cluster, PgBouncer, Postgres, Redis, Sentinel};

/// The processes that work in a folder, removed or not, and the shells that guard them.
fn at_work_in(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(place) = std::fs::read_link(entry.path().join("cwd")) else { continue };
        if place.to_string_lossy().starts_with(&*folder.to_string_lossy()) {
            let command = std::fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
            found.push(format!("{}: {command}", entry.path().display()));
        }
    }
    found
}

fn nothing_is_left(folder: &Path) -> Result<bool> {
    Ok(at_work_in(folder).is_empty() && !folder.exists())
}

#[test]
fn a_redis_keeps_what_it_wrote_over_a_crash_and_loses_it_when_told_to() {
    let mut redis = Redis::start(&[]).unwrap();
    redis.cli(&["set", "name", "anna"]).unwrap();
    redis.kill();
    assert!(redis.cli(&["ping"]).is_err());
    redis.restart().unwrap();
    assert_eq!(redis.cli(&["get", "name"]).unwrap().trim(), "anna");
    redis.restart_empty().unwrap();
    assert_eq!(redis.cli(&["get", "name"]).unwrap().trim(), "");
    redis.pause();
    redis.restart().unwrap();
    let folder = redis.folder().to_owned();
    assert!(!at_work_in(&folder).is_empty());
    drop(redis);
    assert!(nothing_is_left(&folder).unwrap(), "{:?}", at_work_in(&folder));
}

#[test]
fn a_redis_takes_settings_of_several_words_a_password_and_users() {
    let user = "user anna on >other ~* &* +@all";
    let redis = Redis::start(&["requirepass secret", user, "maxmemory-policy allkeys-lru"]).unwrap();
    assert_eq!(redis.url(), format!("redis://:secret@127.0.0.1:{}/", redis.port()));
    assert!(redis.cli(&["config", "get", "maxmemory-policy"]).unwrap().contains("allkeys-lru"));
    assert_eq!(redis.cli(&["auth", "anna", "other"]).unwrap().trim(), "OK");
    assert!(redis.cli(&["auth", "anna", "wrong"]).is_err());
    let replica = redis.start_replica().unwrap();
    redis.cli(&["set", "name", "anna"]).unwrap();
    wait_for("the replica has it", || Ok(replica.cli(&["get", "name"])?.trim() == "anna")).unwrap();
}

#[test]
fn a_redis_listens_with_tls_under_an_authority_of_its_own() {
    let redis = Redis::start_tls(&[]).unwrap();
    let (url, authority) = redis.tls().unwrap();
    let mut cli = Command::new("redis-cli");
    cli.args(["-u", &url, "--tls", "--cacert"]).arg(authority).args(["-e", "ping"]);
    assert_eq!(crate::command::run(&mut cli).unwrap().trim(), "PONG");
    assert!(Redis::start(&[]).unwrap().tls().is_err());
}

#[test]
fn every_connection_of_a_client_can_be_cut() {
    let redis = Redis::start(&[]).unwrap();
    for command in [["subscribe", "news"], ["blpop", "nothing"]] {
        let mut client = Command::new("redis-cli");
        client.args(["-p", &redis.port().to_string()]).args(command);
        if command[0] == "blpop" {
            client.arg("0");
        }
        let mut client =
            client.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        wait_for("the client waits", || {
            Ok(redis.cli(&["client", "list"])?.contains(&format!("cmd={}", command[0])))
        })
        .unwrap();
        redis.cut_connections().unwrap();
        assert!(!redis.cli(&["client", "list"]).unwrap().contains(&format!("cmd={}", command[0])));
        // `redis-cli` connects again for a subscription, so it is ended here.
        let _ = client.kill();
        client.wait().unwrap();
    }
}

#[test]
fn a_sentinel_names_another_primary_and_takes_the_former_one_back_as_its_replica() {
    let mut sentinel = Sentinel::start(&[]).unwrap();
    assert_eq!(sentinel.url().matches("127.0.0.1:").count(), 3);
    sentinel.primary().unwrap().cli(&["set", "name", "anna"]).unwrap();
    wait_for("the replica has it", || Ok(sentinel.replica()?.cli(&["get", "name"])?.trim() == "anna"))
        .unwrap();
    let former = sentinel.primary().unwrap().port();
    let present = sentinel.fail_over().unwrap();
    assert_ne!(present.port(), former);
    assert_eq!(present.cli(&["get", "name"]).unwrap().trim(), "anna");
    sentinel.restart_killed().unwrap();
    sentinel.wait_until_all_is_well().unwrap();
    assert_eq!(sentinel.replica().unwrap().port(), former);
    let paused = sentinel.pause_primary().unwrap();
    assert_eq!(sentinel.wait_for_another(paused).unwrap().port(), former);
    sentinel.go_on();
    sentinel.wait_until_all_is_well().unwrap();
    let folders: Vec<_> = sentinel.folders();
    drop(sentinel);
    assert!(folders.iter().all(|folder| nothing_is_left(folder).unwrap()));
}

#[test]
fn a_cluster_of_three_serves_every_slot_until_one_is_gone() {
    let mut cluster = Cluster::start(&[]).unwrap();
    assert_eq!(cluster.url().matches("127.0.0.1:").count(), 3);
    let ports: std::collections::BTreeSet<_> =
        ["a", "b", "c", "d", "e"].map(|key| cluster.primary_of(key).unwrap().port()).into();
    assert_eq!(ports.len(), 3);
    cluster.primary_of("a").unwrap().cli(&["set", "a", "1"]).unwrap();
    cluster.kill_primary_of("a").unwrap();
    let other = cluster.nodes().iter().find(|node| node.is_started()).unwrap();
    wait_for("the cluster is down", || Ok(other.cli(&["cluster", "info"])?.contains("cluster_state:fail")))
        .unwrap();
    cluster.restart_killed().unwrap();
    cluster.wait_until_ok().unwrap();
    assert_eq!(cluster.primary_of("a").unwrap().cli(&["get", "a"]).unwrap().trim(), "1");
}

#[test]
fn a_replica_takes_the_place_of_a_primary_of_a_cluster() {
    let mut cluster = Cluster::start_with_replicas(&[]).unwrap();
    for _ in 0..2 {
        let former = cluster.kill_primary_of("a").unwrap();
        wait_for("a replica serves", || Ok(cluster.primary_of("a")?.port() != former)).unwrap();
        cluster.wait_until_ok().unwrap();
        cluster.primary_of("a").unwrap().cli(&["set", "a", "1"]).unwrap();
        cluster.restart_killed().unwrap();
        cluster.wait_until_ok().unwrap();
    }
    let paused = cluster.pause_primary_of("a").unwrap();
    wait_for("a replica serves", || {
        let others = cluster.nodes().iter().filter(|node| node.port() != paused);
        let served = others.map(|node| node.cli(&["set", "a", "2"]));
        Ok(served.filter(Result::is_ok).count() > 0)
    })
    .unwrap();
    cluster.go_on();
    cluster.wait_until_ok().unwrap();
    cluster.cut_connections().unwrap();
}

#[test]
fn a_postgres_that_was_killed_starts_again_at_once_with_what_was_committed() {
    let mut postgres = Postgres::start(&[]).unwrap();
    let url = postgres.new_database().unwrap();
    let database = url.rsplit('/').next().unwrap().to_owned();
    postgres.psql(&database, "CREATE TABLE t (n INT); INSERT INTO t VALUES (7)").unwrap();
    let client = |sql: &str| {
        let mut client = Command::new("psql");
        client.args(["--no-psqlrc", "--dbname", &url, "--command", sql]);
        client.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    for paused in [false, true] {
        // A backend in the middle of something is what would outlive its postmaster.
        let mut busy = client("SELECT pg_sleep(600), 'busy'");
        wait_for("a backend is busy", || {
            let sql = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
            Ok(postgres.psql("postgres", sql)?.trim() == "1")
        })
        .unwrap();
        if paused {
            postgres.pause().unwrap();
        }
        postgres.kill();
        assert_eq!(at_work_in(postgres.folder()), [""; 0]);
        assert!(!busy.wait().unwrap().success());
        postgres.restart().unwrap();
        assert_eq!(postgres.psql(&database, "SELECT n FROM t").unwrap().trim(), "7");
    }
    let mut busy = client("SELECT pg_sleep(600)");
    wait_for("it is connected", || {
        Ok(postgres.psql("postgres", "SELECT wait_event FROM pg_stat_activity")?.contains("PgSleep"))
    })
    .unwrap();
    postgres.cut_connections().unwrap();
    assert!(!busy.wait().unwrap().success());
}

#[test]
fn a_killed_postgres_leaves_no_shared_memory() {
    let postgres = Postgres::start(&[]).unwrap();
    let file = std::fs::read_to_string(postgres.folder().join("data/postmaster.pid")).unwrap();
    let id = file.lines().nth(6).unwrap().split_whitespace().nth(1).unwrap().to_owned();
    let segments = || std::fs::read_to_string("/proc/sysvipc/shm").unwrap();
    let is_there = |id: &str| segments().lines().any(|line| line.split_whitespace().nth(1) == Some(id));
    assert!(is_there(&id), "{id} in\n{}", segments());
    drop(postgres);
    assert!(!is_there(&id));
}

#[test]
fn a_postgres_takes_tls_and_asks_one_role_for_its_password() {
    let postgres = Postgres::start_tls(&["max_connections=30"]).unwrap();
    postgres
        .psql("postgres", "CREATE ROLE guarded LOGIN PASSWORD 'secret'; CREATE ROLE guest LOGIN")
        .unwrap();
    let authority = postgres.authority().unwrap().display();
    let connect = |login: &str| {
        let tls = format!("sslmode=verify-full&sslrootcert={authority}");
        let url = format!("postgres://{login}@127.0.0.1:{}/postgres?{tls}", postgres.port());
        crate::postgres::psql(&url, "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
    };
    assert_eq!(connect("guest").unwrap().trim(), "t");
    assert_eq!(connect("guarded:secret").unwrap().trim(), "t");
    connect("guarded:wrong").unwrap_err();
    connect("guarded").unwrap_err();
}

#[test]
fn a_pgbouncer_gives_each_transaction_another_connection() {
    let postgres = Postgres::start(&[]).unwrap();
    let url = postgres.new_database().unwrap();
    let database = url.rsplit('/').next().unwrap();
    let mut bouncer = PgBouncer::start(&postgres, &["default_pool_size = 2"]).unwrap();
    assert_eq!(bouncer.psql(database, "SELECT 1").unwrap().trim(), "1");
    assert!(bouncer.psql("pgbouncer", "SHOW CONFIG").unwrap().contains("pool_mode|transaction"));
    bouncer.pause();
    bouncer.go_on();
    bouncer.kill();
    assert!(bouncer.psql(database, "SELECT 1").is_err());
    bouncer.restart().unwrap();
    assert_eq!(bouncer.psql(database, "SELECT 1").unwrap().trim(), "1");
}

/// What a killed parent leaves behind is found by its folders, which it prints.
#[test]
fn nothing_outlives_a_parent_that_is_killed() {
    const CHILD: &str = "EXEUNT_SERVICES_TEST_CHILD";
    if std::env::var_os(CHILD).is_some() {
        let redis = Redis::start(&[]).unwrap();
        redis.pause();
        let postgres = Postgres::start(&[]).unwrap();
        let bouncer = PgBouncer::start(&postgres, &[]).unwrap();
        postgres.pause().unwrap();
        for folder in [redis.folder(), postgres.folder(), bouncer.folder()] {
            println!("\nfolder {}", folder.display());
        }
        println!("\ndone");
        // Until it is killed.
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(1);
    }
    let name = "tests::nothing_outlives_a_parent_that_is_killed";
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", name, "--nocapture"]).env(CHILD, "1");
    let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut folders: Vec<PathBuf> = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if let Some(folder) = line.strip_prefix("folder ") {
            folders.push(folder.into());
        }
        if line == "done" {
            break;
        }
    }
    assert_eq!(folders.len(), 3);
    for folder in &folders {
        assert!(folder.exists());
        assert!(at_work_in(folder).len() >= 2, "a guard and a server");
    }
    child.kill().unwrap();
    child.wait().unwrap();
    for folder in &folders {
        let left = || format!("{:?} in {}", at_work_in(folder), folder.display());
        wait_for("nothing is left", || nothing_is_left(folder)).unwrap_or_else(|_| panic!("{}", left()));
    }
}
