//! The built program, run as an operator runs it.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may panic, what it calls too"
)]

mod common;

use std::ffi::OsStr;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use exeunt::store::sqlite::Database;
use exeunt::{LoginOptions, SessionId, Sessions};
use exeunt_server::accounts::{Credentials, Hasher};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::{Kept, Places, on_every_engine};

on_every_engine!(
    accounts_are_added_listed_and_changed,
    a_role_is_given_and_taken_but_not_from_the_last_administrator,
    an_address_is_set_changed_told_and_removed,
    sessions_are_listed_and_ended,
    a_set_up_link_is_made_while_there_is_no_account,
    what_cannot_be_has_its_exit_code_on_every_engine,
    check_tells_what_each_engine_is,
);

const PASSWORD: &str = "correct horse battery staple";

/// A folder to run in; on engines that are named by variables, unless it is the default file.
struct Place(TempDir, Option<Places>);

struct Ran {
    code: i32,
    out: String,
    err: String,
}

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap(), None)
    }

    fn on(kept: Kept) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let places = kept.fresh(folder.path());
        Self(folder, Some(places))
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, line: &str) -> Ran {
        self.run_with(line, &[], "")
    }

    fn run_with(&self, line: &str, variables: &[(&str, &str)], input: &str) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_exeunt"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("EXEUNT_") {
                command.env_remove(name);
            }
        }
        if let Some(places) = &self.1 {
            command.env("EXEUNT_STORE", &places.store);
            command.envs(places.accounts.as_ref().map(|accounts| ("EXEUNT_ACCOUNTS", accounts)));
        }
        command.args(line.split(' ').filter(|word| !word.is_empty())).envs(variables.iter().copied());
        command.current_dir(&self.0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // It need not read it: then the pipe is closed, and that is no matter.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
        let (out, err) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
        // R39: whatever is said, no password is in it.
        for secret in [PASSWORD, "s3cret"] {
            assert!(!out.contains(secret) && !err.contains(secret), "{line}: {out}{err}");
        }
        Ran { code: status.code().unwrap(), out, err }
    }

    fn add(&self, name: &str) {
        let ran = self.run_with(&format!("account add {name} --password-stdin"), &[], PASSWORD);
        assert_eq!(ran.code, 0, "{}", ran.err);
    }

    /// Logs in `name` so many times, as a server would.
    fn log_in(&self, name: &str, times: usize) -> Vec<SessionId> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let file = || Kept::OneFile.fresh(self.0.path());
            let places = self.1.clone().unwrap_or_else(file);
            let engines = places.open().await;
            let sessions = Sessions::over(engines.store(0).await.unwrap());
            let accounts = engines.accounts(&sessions, Hasher::new().unwrap()).await.unwrap();
            let mut ids = Vec::new();
            for _ in 0..times {
                let credentials = Credentials { username: name.to_owned(), password: PASSWORD.to_owned() };
                let login = sessions.login(&accounts, credentials, LoginOptions::default()).await;
                ids.push(login.unwrap().expect("the password is right").record.id());
            }
            ids
        })
    }
}

impl Ran {
    #[track_caller]
    fn json(&self) -> Value {
        assert_eq!(self.err, "");
        serde_json::from_str(&self.out).unwrap()
    }

    /// That it failed so, with a reason, and without a word on standard output.
    #[track_caller]
    fn fails(&self, code: i32, reason: &str) {
        assert_eq!((self.code, self.out.as_str()), (code, ""), "{}", self.err);
        assert!(self.err.contains(reason), "{}", self.err);
    }
}

fn accounts_are_added_listed_and_changed(kept: Kept) {
    let place = Place::on(kept);
    let add = "account add Alice --password-stdin --admin --json";
    let added = place.run_with(add, &[], &format!("{PASSWORD}\n"));
    assert_eq!(added.code, 0);
    let account = added.json()["account"].clone();
    assert_eq!(
        (&account["id"], &account["name"], &account["admin"]),
        (&json!(1), &json!("Alice"), &json!(true))
    );
    assert!(account["created_at"].as_str().unwrap().ends_with('Z'));
    assert_eq!(account["email"], json!(null));
    assert_eq!(account.as_object().unwrap().len(), 6, "and nothing else");
    // The line end was dropped.
    place.log_in("alice", 2);

    let disabled = place.run("account disable ALICE --json --even-the-last");
    assert_eq!(disabled.json()["sessions_ended"], json!(2));
    assert_eq!(disabled.json()["account"]["disabled"], json!(true));
    assert_eq!(place.run("account enable alice --json").json()["account"]["disabled"], json!(false));

    let unlocked = place.run("account unlock ALICE --json").json();
    assert_eq!(unlocked["account"]["name"], json!("Alice"));

    place.log_in("alice", 1);
    let changed =
        place.run_with("account password alice --password-stdin", &[], "another horse, another staple");
    assert_eq!(changed.code, 0);
    assert!(changed.out.contains("1 session ended"), "{}", changed.out);

    let list = place.run("account list");
    assert!(list.out.contains("Alice") && list.out.contains("administrator"), "{}", list.out);
    assert_eq!(place.run("account list --json").json()["accounts"][0]["name"], json!("Alice"));

    place.run("account remove alice").fails(6, "last administrator who may log in");
    let removed = place.run("account remove alice --json --even-the-last");
    assert_eq!(removed.json()["account"]["id"], json!(1));
    assert_eq!(place.run("account list --json").json(), json!({ "accounts": [] }));
    place.add("alice");
    assert_eq!(place.run("account list --json").json()["accounts"][0]["id"], json!(2));
}

fn a_role_is_given_and_taken_but_not_from_the_last_administrator(kept: Kept) {
    // R12, R20
    let place = Place::on(kept);
    place.add("alice");
    place.add("bob");
    place.log_in("alice", 1);
    let given = place.run("account role Alice admin --json").json();
    assert_eq!((&given["account"]["admin"], &given["sessions_ended"]), (&json!(true), &json!(1)));
    place.log_in("alice", 1);
    assert_eq!(place.run("account role alice admin --json").json()["sessions_ended"], json!(0));
    for line in ["account role alice user", "account disable alice", "account remove alice"] {
        place.run(line).fails(6, "\"alice\": this is the last administrator who may log in");
        let error: Value = serde_json::from_str(&place.run(&format!("{line} --json")).err).unwrap();
        assert_eq!(error["error"]["code"], json!("last-administrator"));
    }
    assert_eq!(place.run("account role bob admin").code, 0);
    assert_eq!(place.run("account role alice user --json").json()["sessions_ended"], json!(1));
    let gone = place.run("account role bob user --even-the-last");
    assert_eq!(gone.out, "done: account 2 \"bob\"; 0 sessions ended\n");
    place.run("account role bob owner").fails(2, "possible values: user, admin");
    place.run("account role nobody user").fails(3, "\"nobody\"");
}

fn an_address_is_set_changed_told_and_removed(kept: Kept) {
    // R59
    let place = Place::on(kept);
    let add = "account add alice --password-stdin --email alice@example.org";
    assert!(place.run_with(add, &[], PASSWORD).out.contains("alice@example.org"));
    let list = || place.run("account list --json").json()["accounts"][0]["email"].clone();
    assert_eq!(list(), json!("alice@example.org"));
    assert!(place.run("account list").out.contains("E-MAIL\n1 "));

    // No server runs, so the command tells the old address itself.
    let mail = [("EXEUNT_MAIL_DIR", "mail")];
    let changed = place.run_with("account email ALICE alice@example.net", &mail, "");
    assert_eq!((changed.code, changed.err.as_str()), (0, ""));
    let notices: Vec<_> = std::fs::read_dir(place.path("mail")).unwrap().collect();
    let [Ok(notice)] = &notices[..] else { panic!("{notices:?}") };
    let notice = std::fs::read_to_string(notice.path()).unwrap();
    assert!(notice.contains("To: alice@example.org\r\nSubject: Your e-mail address was changed"), "{notice}");

    assert_eq!(list(), json!("alice@example.net"));
    assert_eq!(place.run("account email alice --none --json").json()["account"]["email"], json!(null));
    place.run("account email alice nonsense").fails(2, "no @ in it");
    place.run("account email nobody --none").fails(3, "there is no account");
    place.run("account email alice").fails(2, "ADDRESS");
    place.run("account email alice a@example.org --none").fails(2, "--none");
    assert_eq!(list(), json!(null));
}

#[test]
fn the_password_of_the_mail_server_is_never_shown() {
    // R39
    let place = Place::new();
    let smtp = [("EXEUNT_SMTP", "smtps://bot:s3cret@mail.example.org")];
    let printed = place.run_with("config", &smtp, "");
    assert!(printed.out.contains("smtp = \"smtps://mail.example.org\""), "{}", printed.out);
    place.run("serve --smtp http://bot:s3cret@mail.example.org").fails(2, "names no mail server");
    place.run_with("config", &[("EXEUNT_SMTP", "smtp://s3cret@h")], "").fails(2, "EXEUNT_SMTP");
}

fn sessions_are_listed_and_ended(kept: Kept) {
    // R16, R20
    let place = Place::on(kept);
    place.add("alice");
    place.add("bob");
    let (alice, bob) = (place.log_in("alice", 3), place.log_in("bob", 2));

    let all = place.run("session list --json").json();
    let ids: Vec<SessionId> = all["sessions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["id"].as_str().unwrap().parse().unwrap())
        .collect();
    assert_eq!(ids, [alice.clone(), bob].concat());
    assert_eq!(all["sessions"][0]["account"], json!("alice"));
    let text = place.run("session list --account bob").out;
    assert_eq!(text.lines().count(), 3, "{text}");
    let some = place.run("session list --limit 4");
    assert!(some.out.contains("--after"), "{}", some.out);

    let end = format!("session end {}", alice[0]);
    let ended = place.run(&end);
    assert_eq!((ended.code, ended.out.as_str()), (0, "done: 1 session ended\n"));
    place.run(&end).fails(3, "no live session");
    place.run("session end nonsense").fails(2, "11 base64url characters");

    assert_eq!(place.run("session end-all --account alice --json").json(), json!({ "sessions_ended": 2 }));
    assert_eq!(place.run("session end-all --json").json(), json!({ "sessions_ended": 2 }));
    assert_eq!(place.run("session list --json").json(), json!({ "sessions": [], "next": null }));
}

fn what_cannot_be_has_its_exit_code_on_every_engine(kept: Kept) {
    let place = Place::on(kept);
    place.add("alice");
    for line in ["account disable", "account enable", "account remove", "session list --account"] {
        place.run(&format!("{line} nobody")).fails(3, "\"nobody\"");
    }
    place.run_with("account password nobody --password-stdin", &[], PASSWORD).fails(3, "\"nobody\"");
    place.run_with("account add ALICE --password-stdin", &[], PASSWORD).fails(4, "exists already");
    place.run("account setup-link").fails(4, "--admin");
}

fn check_tells_what_each_engine_is(kept: Kept) {
    let place = Place::on(kept);
    place.add("alice");
    place.log_in("alice", 2);
    let ran = place.run("check --json");
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    let check = ran.json()["check"].clone();
    assert_eq!((&check["accounts"], &check["sessions"]), (&json!(1), &json!(2)));
    let kept: Vec<&Value> =
        check["engines"].as_array().unwrap().iter().map(|engine| &engine["keeps"]).collect();
    match &place.1.as_ref().unwrap().accounts {
        None => assert_eq!(kept, [&json!("sessions and accounts")]),
        Some(_) => assert_eq!(kept, [&json!("sessions"), &json!("accounts")]),
    }
    for engine in check["engines"].as_array().unwrap() {
        assert!(!engine["place"].as_str().unwrap().is_empty());
        assert!(!engine["facts"].as_array().unwrap().is_empty(), "{engine}");
    }
    let text = place.run("check");
    assert!(text.out.ends_with("all is well\n"), "{}", text.out);
}

#[test]
fn an_engine_that_cannot_be_used_is_named_with_what_to_do_and_without_its_password() {
    // R39
    let place = Place::new();
    let (redis, postgres) = (common::redis(), common::postgres());
    for (line, code, said) in [
        // Nobody listens on port 1.
        ("check --store redis://u:s3cret@127.0.0.1:1 --accounts a.db", 5, "redis://u@127.0.0.1:1"),
        ("check --store postgres://u:s3cret@127.0.0.1:1/d", 5, "postgres://u@127.0.0.1:1/d"),
        ("serve --store redis://u:s3cret@127.0.0.1:1 --accounts a.db", 5, "--store"),
        ("serve --store a.db --accounts postgres://u:s3cret@127.0.0.1:1/d", 5, "--accounts"),
        ("check --store redis://u:s3cret@127.0.0.1:1", 2, "set --accounts"),
        ("check --store a.db --accounts redis://:s3cret@127.0.0.1:1", 2, "set --accounts"),
        ("check --store mysql://u:s3cret@h/d", 2, "mysql:// is not known"),
        ("check --store redis://:s3cret@127.0.0.1:1/?prefx=a --accounts a.db", 5, "prefx"),
    ] {
        std::fs::write(place.path("a.db"), "").unwrap();
        let ran = place.run_with(line, &[("EXEUNT_LOG", "warn")], "");
        ran.fails(code, said);
    }
    // They listen, and refuse.
    let wrong = format!("redis://nobody:s3cret@127.0.0.1:{}", redis.port());
    place.run_with("check --accounts a.db", &[("EXEUNT_STORE", &wrong)], "").fails(5, "redis://nobody@");
    let wrong = format!("postgres://nobody:s3cret@127.0.0.1:{}/postgres", postgres.port());
    place.run_with("check", &[("EXEUNT_STORE", &wrong)], "").fails(5, "nobody");
    let printed = place.run_with("config", &[("EXEUNT_STORE", &wrong)], "");
    assert!(
        printed.code == 0 && printed.out.contains("\nstore = \"postgres://nobody@127.0.0.1:"),
        "{}",
        printed.out
    );
}

#[test]
fn each_kind_of_failure_has_its_exit_code() {
    let place = Place::new();
    for line in ["account list", "account remove a", "session list", "session end-all", "check"] {
        place.run(line).fails(5, "there is no store at exeunt.db");
    }
    assert!(!place.path("exeunt.db").exists(), "asking makes no store");

    place.add("alice");
    for line in ["disable", "enable", "unlock", "remove"] {
        place.run(&format!("account {line} nobody")).fails(3, "\"nobody\"");
    }
    place.run("session list --account nobody").fails(3, "\"nobody\"");
    place.run_with("account password nobody --password-stdin", &[], PASSWORD).fails(3, "\"nobody\"");
    place.run_with("account add ALICE --password-stdin", &[], PASSWORD).fails(4, "exists already");
    place.run("account setup-link").fails(4, "--admin");

    for input in ["", "\n", "\r\n"] {
        place.run_with("account add bob --password-stdin", &[], input).fails(2, "empty");
    }
    let long = "x".repeat(1025);
    place.run_with("account add bob --password-stdin", &[], &long).fails(2, "1024 bytes");
    place.run("account add bob").fails(2, "--password-stdin");
    place.run_with(&format!("account add {} --password-stdin", "x".repeat(65)), &[], PASSWORD).fails(2, "64");
    for line in ["", "account", "accounts list", "account add", "session list --limit 0", "serve --json"] {
        assert_eq!(place.run(line).code, 2, "{line:?}");
    }

    std::fs::write(place.path("text.db"), "this is no database, but a text that is long enough to be read")
        .unwrap();
    place.run("check --store text.db").fails(5, "text.db");
    place.run("account list --store nowhere/a.db").fails(5, "nowhere/a.db");
}

#[test]
fn a_new_password_is_as_the_configuration_wants_it() {
    // R36, R37, R58
    let place = Place::new();
    let add = |variables: &[(&str, &str)], password: &str| {
        place.run_with("account add bob --password-stdin", variables, password)
    };
    add(&[], "fourteen chars").fails(2, "shorter than 15 characters");
    add(&[], "passwordpasswordpassword").fails(2, "repeats");
    add(&[], "bob bob bob bob bob").fails(2, "password");
    for wrong in ["7", "65"] {
        add(&[("EXEUNT_PASSWORD_MIN_LENGTH", wrong)], PASSWORD).fails(2, "between 8 and 64");
    }
    let list = [("EXEUNT_BREACHED_PASSWORDS", "list")];
    add(&list, PASSWORD).fails(2, "list");
    std::fs::write(place.path("list"), format!("{PASSWORD}\n")).unwrap();
    add(&list, PASSWORD).fails(2, "40 hexadecimal digits");
    std::fs::write(place.path("list"), "ABF7AAD6438836DBE526AA231ABDE2D0EEF74D42:112\n").unwrap();
    add(&list, PASSWORD).fails(2, "known from a breach");
    assert_eq!(add(&list, "another horse, another staple").code, 0);
    let fewer = [("EXEUNT_PASSWORD_MIN_LENGTH", "14")];
    assert_eq!(place.run_with("account add alice --password-stdin", &fewer, "fourteen chars").code, 0);
}

#[test]
fn with_json_a_failure_is_json_on_standard_error() {
    let place = Place::new();
    place.add("alice");
    let ran = place.run("account remove nobody --json");
    assert_eq!((ran.code, ran.out.as_str()), (3, ""));
    let error: Value = serde_json::from_str(&ran.err).unwrap();
    assert_eq!(error["error"]["code"], json!("not-found"));
    for line in ["session end nonsense --json", "account lisst --json", "check --jsonn --json"] {
        let ran = place.run(line);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{line}");
        let error: Value = serde_json::from_str(&ran.err).unwrap();
        assert_eq!(error["error"]["code"], json!("usage"), "{line}");
    }
    assert!(place.run("session list --json --help").out.contains("Examples:"));
}

#[test]
fn who_reads_only_the_beginning_of_an_answer_makes_no_error() {
    let place = Place::new();
    let (read, write) = std::io::pipe().unwrap();
    drop(read);
    let mut command = Command::new(env!("CARGO_BIN_EXE_exeunt"));
    command.arg("config").current_dir(&place.0).env_clear().stdin(Stdio::null()).stdout(write);
    let Output { status, stderr, .. } = command.stderr(Stdio::piped()).output().unwrap();
    assert_eq!((status.code(), String::from_utf8(stderr).unwrap().as_str()), (Some(0), ""));
}

#[test]
fn a_configuration_that_cannot_be_written_is_not_printed() {
    let place = Place::new();
    let mut command = Command::new(env!("CARGO_BIN_EXE_exeunt"));
    command.args(["config", "--store"]).arg(OsStr::from_bytes(b"\xff.db")).current_dir(&place.0).env_clear();
    let Output { status, stdout, stderr } = command.output().unwrap();
    assert_eq!((status.code(), stdout.as_slice()), (Some(2), &b""[..]));
    assert!(String::from_utf8(stderr).unwrap().contains("store"));
}

#[test]
fn a_password_is_never_an_argument() {
    let place = Place::new();
    for line in
        ["account add alice secret", "account add alice --password secret", "account password alice secret"]
    {
        assert_eq!(place.run(line).code, 2, "{line}");
    }
    for line in ["account add --help", "account password --help"] {
        assert!(place.run(line).out.contains("--password-stdin"));
    }
}

fn a_set_up_link_is_made_while_there_is_no_account(kept: Kept) {
    // R43
    let place = Place::on(kept);
    let url = [("EXEUNT_PUBLIC_URL", "https://login.example.org")];
    let link = place.run_with("account setup-link --json", &url, "").json();
    let text = link["setup_link"].as_str().unwrap();
    assert!(text.starts_with("https://login.example.org/setup?secret="), "{text}");
    let local = place.run("account setup-link").out;
    assert!(local.contains("http://localhost:8080/setup?secret="), "{local}");
    assert!(!local.contains(text), "each is another");
    place.add("alice");
    place.run("account setup-link").fails(4, "there are accounts already");
}

#[test]
fn check_tells_the_state_of_the_store_and_fails_if_something_is_wrong() {
    let place = Place::new();
    place.add("alice");
    place.log_in("alice", 3);
    let ran = place.run("check --json");
    assert_eq!(ran.code, 0);
    let check = ran.json()["check"].clone();
    assert_eq!(
        (&check["ok"], &check["problems"], &check["engines"][0]["facts"][0]),
        (&json!(true), &json!([]), &json!({ "name": "mode", "value": "0600" }))
    );
    assert_eq!(
        (&check["accounts"], &check["administrators"], &check["sessions"]),
        (&json!(1), &json!(0), &json!(3))
    );
    assert_eq!(check["engines"][0]["keeps"], json!("sessions and accounts"));
    let schema = &check["engines"][0]["facts"][1];
    assert_eq!(schema, &json!({ "name": "schema", "value": "accounts 6, sessions 2" }));
    assert!(place.run("check").out.ends_with("all is well\n"));

    let readable = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(place.path("exeunt.db"), readable).unwrap();
    let ran = place.run("check");
    assert_eq!(ran.code, 1);
    assert!(ran.out.contains("0644") && ran.out.contains("chmod 600"), "{}", ran.out);
}

#[test]
fn a_store_that_another_process_holds_without_answering_is_left_alone() {
    let place = Place::new();
    place.add("alice");
    let held = Database::open(place.path("exeunt.db")).unwrap();
    place.run("account remove alice").fails(5, "control socket cannot be reached");
    drop(held);
    assert_eq!(place.run("account list --json").json()["accounts"][0]["name"], json!("alice"));
}

#[test]
fn the_printed_configuration_loads_again_and_prints_the_same() {
    let place = Place::new();
    let printed = place.run("config");
    assert_eq!(printed.code, 0);
    std::fs::write(place.path("exeunt.toml"), &printed.out).unwrap();
    assert_eq!(place.run("config").out, printed.out);

    // With every default, and everything else, written out.
    let live: String = printed.out.lines().map(uncommented).collect();
    assert!(live.contains("\npublic_url = "), "{live}");
    std::fs::write(place.path("live.toml"), &live).unwrap();
    let secure = [("EXEUNT_COOKIE_NAME", "__Secure-id"), ("EXEUNT_IDLE_TIMEOUT", "1h 1s")];
    let again = place.run_with("config --config live.toml --store other.db", &secure, "");
    assert_eq!(again.code, 0, "{}", again.err);
    for line in
        ["store = \"other.db\"", "idle_timeout = \"1h 1s\"", "cookie_name = \"__Secure-id\"", "log_format = "]
    {
        assert!(again.out.lines().any(|printed| printed.starts_with(line)), "{line}\n{}", again.out);
    }
    std::fs::write(place.path("again.toml"), &again.out).unwrap();
    assert_eq!(place.run("config --config again.toml").out, again.out);
}

fn uncommented(line: &str) -> String {
    match line.strip_prefix('#') {
        // Messages go one way: the other is `smtp`.
        Some(rest) if !rest.starts_with(' ') && !rest.starts_with("mail_dir") => format!("{rest}\n"),
        _ => format!("{line}\n"),
    }
}

#[test]
fn what_is_not_known_in_the_configuration_is_an_error_that_names_it_for_every_command() {
    let place = Place::new();
    place.add("alice");
    std::fs::write(place.path("bad.toml"), "listen = \"127.0.0.1:1\"\n\nlissten = 1\n").unwrap();
    for line in ["config", "serve", "account list", "session list", "check"] {
        let ran = place.run(&format!("{line} --config bad.toml"));
        ran.fails(2, "lissten");
        assert!(ran.err.contains("bad.toml") && ran.err.contains("line 3"), "{}", ran.err);
        place.run(&format!("{line} --config missing.toml")).fails(2, "missing.toml");
        place.run_with(line, &[("EXEUNT_LISSTEN", "x")], "").fails(2, "EXEUNT_LISSTEN");
        place.run_with(line, &[("EXEUNT_LISTEN", "x")], "").fails(2, "EXEUNT_LISTEN");
    }
    // The file in the folder is read without being named.
    std::fs::rename(place.path("bad.toml"), place.path("exeunt.toml")).unwrap();
    place.run("check").fails(2, "lissten");
    std::fs::write(place.path("exeunt.toml"), "store = \"there.db\"\n").unwrap();
    place.run("check").fails(5, "there.db");
    assert_eq!(place.run_with("check", &[("EXEUNT_STORE", "exeunt.db")], "").code, 0);
    let both = place.run_with("check --store here.db", &[("EXEUNT_STORE", "exeunt.db")], "");
    both.fails(5, "here.db");
}

#[test]
fn options_that_do_not_go_together_are_refused_with_what_to_do() {
    // R55
    let place = Place::new();
    for (line, reason) in [
        ("serve --listen 0.0.0.0:8080", "--public-url"),
        ("serve --listen [::]:8080", "--public-url"),
        ("serve --public-url https://example.org/app", "leave out everything behind the host"),
        ("serve --public-url example.org", "https://login.example.org"),
        ("serve --idle-timeout 9h", "idle_timeout must not be longer"),
        ("serve --absolute-timeout 401days", "400days"),
        ("serve --remember-for 401days", "remember_for must be between 1s and 400days"),
        ("serve --passwords-at-once 0", "between 1 and 1024"),
        ("serve --idle-timeout 0s", "1s"),
        ("serve --logout-failure-status 200", "between 400 and 599"),
        ("serve --sessions-per-account 0", "at least 1"),
        ("serve --max-connections 0", "at least 1"),
        ("serve --logout-failure-status 401", "there is no session"),
        ("serve --log info=loud", "log \"info=loud\""),
        ("serve --cookie-name __Http-id", "cookie_name"),
        ("serve --cookie-domain example.org", "cookie_domain"),
        ("serve --public-url https://a.example --cookie-domain b.a.example", "cookie_domain"),
        ("serve --public-url https://a.example --cookie-domain .a.example", "cookie_domain"),
        ("serve --public-url https://a.example --cookie-domain example.org", "cookie_domain"),
        ("serve --public-url https://aexample.org --cookie-domain example.org", "cookie_domain"),
        ("serve --public-url https://10.0.0.1 --cookie-domain 0.1", "cookie_domain"),
        ("serve --cookie-name a=b", "cookie_name"),
        ("serve --cookie-name __Host-id", "https"),
        (
            "serve --public-url https://a.example --cookie-name __host-id --cookie-domain a.example",
            "cookie_domain",
        ),
    ] {
        place.run(line).fails(2, reason);
    }
    assert!(!Path::new(&place.path("exeunt.db")).exists());
}

#[test]
fn help_shows_examples_and_the_exit_codes() {
    let place = Place::new();
    let help = place.run("--help");
    assert_eq!(help.code, 0);
    for code in 0..=5 {
        assert!(help.out.contains(&format!("\n  {code}  ")), "{}", help.out);
    }
    for line in ["serve", "config", "account add", "session list", "session end-all", "check"] {
        let help = place.run(&format!("{line} --help"));
        assert_eq!(help.code, 0);
        assert!(help.out.contains("Examples:") && help.out.contains("--store"), "{line}: {}", help.out);
    }
}
