//! The control socket: commands reach the server that owns the store, and nobody else does.

#![expect(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use exeunt::store::sqlite::{Database, OpenError, SqliteStore};
use exeunt::{Extend, LoggedIn, LoginOptions, ManualClock, Near, SessionId, Sessions};
use exeunt_server::accounts::{Accounts, Cost, Credentials, Hasher};
use exeunt_server::admin::{Admin, Code, Command, Failure, NewPassword, Reply};
use exeunt_server::control::{ControlError, ControlSocket, reach, socket_path};
use exeunt_server::engines::Engines;
use tempfile::TempDir;
use tokio::io::AsyncReadExt as _;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

const RIGHT: &str = "correct horse battery staple";

/// A server without the part that listens on the network.
struct Server {
    accounts: Accounts,
    sessions: Sessions,
    store: PathBuf,
    stop: oneshot::Sender<()>,
    stopped: JoinHandle<std::io::Result<()>>,
    folder: TempDir,
}

async fn open(folder: &Path) -> (Database, Accounts, Sessions, Admin) {
    let database = Database::open(folder.join("a.db")).unwrap();
    let store = Near::new(SqliteStore::over(database.clone()).unwrap(), 1 << 20);
    let hasher = Hasher::with(Cost { memory_kib: 8, passes: 1, lanes: 1 }, 2, 100).unwrap();
    let accounts = Accounts::open(database.clone(), hasher).await.unwrap();
    let sessions = Sessions::new(store).clock(Arc::new(ManualClock::default()));
    let url = "https://login.example.org".parse().unwrap();
    let admin = Admin::new(accounts.clone(), sessions.clone(), Engines::of_file(database.clone()), url);
    (database, accounts, sessions, admin)
}

impl Server {
    async fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap()).await
    }

    async fn start_in(folder: TempDir) -> Self {
        let (database, accounts, sessions, admin) = open(folder.path()).await;
        let socket = ControlSocket::bind(&database).unwrap();
        let (stop, stopping) = oneshot::channel::<()>();
        let stopping = async move { drop(stopping.await) };
        let stopped = tokio::spawn(socket.serve(admin, stopping));
        Self { accounts, sessions, store: database.path().to_owned(), stop, stopped, folder }
    }

    async fn ask(&self, command: Command) -> Result<Reply, Failure> {
        reach(&self.store).await?.ask(&command).await
    }

    async fn add(&self, name: &str) {
        let password = NewPassword::new(RIGHT.to_owned());
        self.ask(Command::AccountAdd { name: name.to_owned(), password, admin: false, email: None })
            .await
            .unwrap();
    }

    async fn login(&self, name: &str) -> LoggedIn {
        let credentials = Credentials { username: name.to_owned(), password: RIGHT.to_owned() };
        let login = self.sessions.login(&self.accounts, credentials, LoginOptions::default()).await;
        login.unwrap().unwrap()
    }

    async fn lives(&self, login: &LoggedIn) -> bool {
        self.sessions.resume(&login.token, Extend::No).await.unwrap().is_some()
    }

    async fn stop(self) -> TempDir {
        let _ = self.stop.send(());
        self.stopped.await.unwrap().unwrap();
        self.folder
    }
}

fn code(answer: Result<Reply, Failure>) -> Code {
    answer.unwrap_err().code
}

#[tokio::test]
async fn every_command_is_done_by_the_server_before_it_answers() {
    // R16, R19, R20
    let server = Server::start().await;
    server.add("alice").await;
    server.add("bob").await;
    let name = || "ALICE".to_owned();
    let (one, two, bob) =
        (server.login("alice").await, server.login("alice").await, server.login("bob").await);

    let Reply::Accounts { accounts } = server.ask(Command::AccountList).await.unwrap() else { panic!() };
    assert_eq!(accounts, server.accounts.list().await.unwrap());

    let list = |account| Command::SessionList { account, after: None, limit: 2 };
    let Reply::Sessions { sessions, next } = server.ask(list(None)).await.unwrap() else { panic!() };
    let listed: Vec<_> = sessions.iter().map(|line| (line.id, line.account.as_deref().unwrap())).collect();
    assert_eq!(listed, [(one.record.id(), "alice"), (two.record.id(), "alice")]);
    let rest = Command::SessionList { account: None, after: next, limit: 2 };
    let Reply::Sessions { sessions, next } = server.ask(rest).await.unwrap() else { panic!() };
    assert_eq!((sessions[0].id, sessions.len(), next), (bob.record.id(), 1, None));
    let Reply::Sessions { sessions, .. } = server.ask(list(Some(name()))).await.unwrap() else { panic!() };
    assert_eq!(sessions.len(), 2);

    let end = |login: &LoggedIn| Command::SessionEnd { session: login.record.id() };
    assert_eq!(server.ask(end(&one)).await.unwrap(), Reply::Ended { sessions_ended: 1 });
    assert!(!server.lives(&one).await && server.lives(&two).await);
    assert_eq!(code(server.ask(end(&one)).await), Code::NotFound);
    let never = SessionId::from_i64(0).unwrap();
    assert_eq!(code(server.ask(Command::SessionEnd { session: never }).await), Code::NotFound);

    let all_of = Command::SessionEndAll { account: Some(name()) };
    assert_eq!(server.ask(all_of).await.unwrap(), Reply::Ended { sessions_ended: 1 });
    assert!(!server.lives(&two).await && server.lives(&bob).await);

    let three = server.login("alice").await;
    let disabled = server.ask(Command::AccountDisable { name: name(), even_the_last: false }).await.unwrap();
    assert!(matches!(disabled, Reply::Changed { account, sessions_ended: 1 } if account.disabled));
    assert!(!server.lives(&three).await);
    let enabled = server.ask(Command::AccountEnable { name: name() }).await.unwrap();
    assert!(matches!(enabled, Reply::Account { account } if !account.disabled));

    let four = server.login("alice").await;
    let password = NewPassword::new("another horse, another staple".to_owned());
    let changed = server.ask(Command::AccountPassword { name: name(), password }).await.unwrap();
    assert!(matches!(changed, Reply::Changed { sessions_ended: 1, .. }));
    assert!(!server.lives(&four).await);

    let everybody = Command::SessionEndAll { account: None };
    assert_eq!(server.ask(everybody).await.unwrap(), Reply::Ended { sessions_ended: 1 });
    assert!(!server.lives(&bob).await);

    let removed = server.ask(Command::AccountRemove { name: name(), even_the_last: false }).await.unwrap();
    assert!(matches!(removed, Reply::Changed { account, .. } if account.name == "alice"));
    assert_eq!(
        code(server.ask(Command::AccountRemove { name: name(), even_the_last: false }).await),
        Code::NotFound
    );

    let Reply::Check { check } = server.ask(Command::Check).await.unwrap() else { panic!() };
    assert!(check.ok, "{check:?}");
    assert_eq!((check.accounts, check.sessions), (1, 0));
    server.stop().await;
}

#[tokio::test]
async fn a_refusal_comes_back_with_its_kind_and_its_reason() {
    let server = Server::start().await;
    let add = |name: &str| {
        let password = NewPassword::new(RIGHT.to_owned());
        Command::AccountAdd { name: name.to_owned(), password, admin: true, email: None }
    };
    let bad = server.ask(add(" alice")).await.unwrap_err();
    assert_eq!((bad.code, bad.message.contains("white space")), (Code::Usage, true));
    let Reply::SetupLink(link) = server.ask(Command::SetupLink).await.unwrap() else { panic!() };
    assert!(link.setup_link.starts_with("https://login.example.org/setup?secret="));
    server.ask(add("alice")).await.unwrap();
    assert_eq!(code(server.ask(add("Alice")).await), Code::AlreadyExists);
    assert_eq!(code(server.ask(Command::SetupLink).await), Code::AlreadyExists);
    let everybody_but = Command::SessionEndAll { account: Some("nobody".to_owned()) };
    assert_eq!(code(server.ask(everybody_but).await), Code::NotFound);
    server.stop().await;
}

#[tokio::test]
async fn the_socket_is_for_its_owner_alone_and_goes_with_the_server() {
    let server = Server::start().await;
    let socket = socket_path(&server.store);
    assert!(socket.to_str().unwrap().ends_with("a.db.sock"));
    let metadata = std::fs::metadata(&socket).unwrap();
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    let folder = server.stop().await;
    assert!(!socket.exists());
    drop(folder);
}

#[tokio::test]
async fn a_socket_that_a_dead_server_left_behind_is_replaced_by_the_owner_of_the_store_alone() {
    let folder = tempfile::tempdir().unwrap();
    let socket = socket_path(&folder.path().join("a.db"));
    // Closing a listener leaves its file, as `kill -9` does.
    drop(UnixListener::bind(&socket).unwrap());
    let dead = reach(&folder.path().join("a.db")).await.unwrap_err();
    assert_eq!((dead.code, dead.message.contains("nothing was done")), (Code::Store, true));

    let server = Server::start_in(folder).await;
    server.add("alice").await;
    // A second process cannot get as far as to the socket: binding asks for the open database.
    assert!(matches!(Database::open(&server.store), Err(OpenError::Locked { .. })));
    assert_eq!(server.accounts.list().await.unwrap().len(), 1);
    server.stop().await;
}

#[tokio::test]
async fn a_path_that_is_too_long_is_told_by_the_server_and_by_the_command() {
    let folder = tempfile::tempdir().unwrap();
    let deep = folder.path().join("d".repeat(100));
    std::fs::create_dir(&deep).unwrap();
    let (database, ..) = open(&deep).await;
    let refused = ControlSocket::bind(&database).unwrap_err();
    assert!(matches!(refused, ControlError::PathTooLong { .. }));
    let unreached = reach(database.path()).await.unwrap_err();
    for message in [refused.to_string(), unreached.message] {
        assert!(message.contains("107") && message.contains("shorter path"), "{message}");
    }
}

#[tokio::test]
async fn silence_and_nonsense_are_not_taken_for_done() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("a.db");
    let listener = tokio::net::UnixListener::bind(socket_path(&store)).unwrap();
    let answers: [&[u8]; 4] = [
        b"",
        b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"sessions_ended\":1}",
    ];
    for answer in answers {
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            assert!(stream.read(&mut request).await.unwrap() > 0);
            tokio::io::AsyncWriteExt::write_all(&mut stream, answer).await.unwrap();
        };
        let command = Command::SessionEndAll { account: None };
        let owner = reach(&store).await.unwrap();
        let (done, ()) = tokio::join!(owner.ask(&command), server);
        let failure = done.unwrap_err();
        assert_eq!(failure.code, Code::Store);
        assert!(failure.message.contains("not known whether"), "{}", failure.message);
    }
}

#[tokio::test]
async fn what_goes_over_the_socket_reads_back_as_what_it_was() {
    let server = Server::start().await;
    server.add("alice").await;
    let _login = server.login("alice").await;
    let commands = [
        Command::AccountList,
        Command::AccountEnable { name: "alice".to_owned() },
        Command::AccountDisable { name: "alice".to_owned(), even_the_last: false },
        Command::SessionList { account: None, after: None, limit: 10 },
        Command::SessionEndAll { account: None },
        Command::Check,
    ];
    for command in commands {
        let reply = server.ask(command).await.unwrap();
        let json = serde_json::to_string(&reply).unwrap();
        assert_eq!(serde_json::from_str::<Reply>(&json).unwrap(), reply, "{json}");
    }
    server.stop().await;
}

#[tokio::test]
async fn who_connects_and_says_nothing_does_not_keep_the_server_from_stopping() {
    let server = Server::start().await;
    let silent = tokio::net::UnixStream::connect(socket_path(&server.store)).await.unwrap();
    server.add("alice").await;
    let socket = socket_path(&server.store);
    tokio::time::pause();
    let _folder = server.stop().await;
    assert!(!socket.exists());
    drop(silent);
}
