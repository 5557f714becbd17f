//! A store full of sessions: an 8-byte user, a 60-byte client and 60 bytes of data each.
//!
//! Must never make them in another way than applications do: each is a login.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use exeunt::store::redis::RedisStore;
use exeunt::store::sqlite::SqliteStore;
use exeunt::{Client, LoginOptions, Sessions, UserId, Users, UsersError, Verified};

/// Users who have as many sessions as a user may have, besides the others, who have [`EACH`].
pub(crate) const LARGE_USERS: usize = 20;
pub(crate) const LARGE: usize = 100;
const EACH: usize = 5;

const CLIENT: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko Firefox/128.";
const NAME: &str = "a name that makes the session's data 60 bytes lon";
const AT_ONCE: usize = 512;

/// The store's file in a folder of the benchmark.
pub(crate) fn store(folder: &Path) -> PathBuf {
    folder.join("sessions.db")
}

/// The tokens' file, each with its line end.
pub(crate) fn tokens(folder: &Path) -> PathBuf {
    folder.join("tokens")
}

/// The user of the session of that number.
pub(crate) fn user(session: usize) -> UserId {
    let large = LARGE_USERS * LARGE;
    let (kind, number) =
        if session < large { ('l', session / LARGE) } else { ('u', (session - large) / EACH) };
    UserId::new(format!("{kind}{number:07}")).expect("eight characters are a user id")
}

/// Lets anybody in.
struct Anybody;

impl Users for Anybody {
    type Credentials = UserId;

    async fn verify(&self, user: UserId) -> Result<Option<Verified>, UsersError> {
        Ok(Some(Verified::new(user, 0).named(NAME)))
    }

    async fn is_current(&self, _: &Verified) -> Result<bool, UsersError> {
        Ok(true)
    }
}

/// Logs in `sessions` times, and prints how many logins a second that were.
pub(crate) fn make(folder: &Path, sessions: usize) -> Result<()> {
    ensure!(sessions >= LARGE_USERS * LARGE, "{} sessions at least", LARGE_USERS * LARGE);
    ensure!(CLIENT.len() == 60 && NAME.len() + r#"{"name":""}"#.len() == 60, "the sizes that are promised");
    let (store, tokens) = (store(folder), tokens(folder));
    if store.exists() {
        bail!("{} is there already", store.display());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let began = Instant::now();
    let service = Sessions::new(SqliteStore::open(&store)?);
    let written = runtime.block_on(log_in(service, &tokens, sessions))?;
    println!("{written} {:.0}", written as f64 / began.elapsed().as_secs_f64());
    Ok(())
}

/// The same in Redis. Prints nothing but that it is done.
pub(crate) fn make_in_redis(url: &str, tokens: &Path, sessions: usize) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let written = runtime.block_on(async {
        let service = Sessions::new(RedisStore::connect(url).await?);
        log_in(service, tokens, sessions).await
    })?;
    println!("{written}");
    Ok(())
}

async fn log_in(service: Sessions, tokens: &Path, sessions: usize) -> Result<usize> {
    let next = Arc::new(AtomicUsize::new(0));
    let (done, mut written) = tokio::sync::mpsc::channel(AT_ONCE * 2);
    for _ in 0..AT_ONCE {
        let (service, next, done) = (service.clone(), Arc::clone(&next), done.clone());
        tokio::spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= sessions {
                    return;
                }
                let options = LoginOptions { client: Client::new(CLIENT), ..LoginOptions::default() };
                let login = service.login(&Anybody, user(number), options).await;
                let token = login.map(|login| login.map(|login| login.token.expose()));
                if done.send((number, token)).await.is_err() {
                    return;
                }
            }
        });
    }
    drop(done);
    let mut all = vec![String::new(); sessions];
    let mut count = 0;
    while let Some((number, token)) = written.recv().await {
        let token = token.context("a login")?.context("anybody may log in")?;
        *all.get_mut(number).context("no more logins than sessions")? = token;
        count += 1;
    }
    let mut file = BufWriter::new(File::create(tokens)?);
    for token in all {
        writeln!(file, "{token}")?;
    }
    file.flush()?;
    Ok(count)
}

/// The tokens that a folder has.
pub(crate) fn read_tokens(path: &Path) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let tokens: Vec<String> = text.lines().map(str::to_owned).collect();
    let length = tokens.first().context("a token")?.len();
    ensure!(
        length > 20 && tokens.iter().all(|token| token.len() == length),
        "each line of {} is a token",
        path.display()
    );
    Ok(tokens)
}
