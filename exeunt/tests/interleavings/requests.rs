//! The requests: what handlers do with the real [`Sessions`], and what each hears in the end.

use std::pin::Pin;
use std::sync::Arc;

use exeunt::auth::{Extend, LoggedIn, LoginOptions};
use exeunt::store::{Purged, Store as _};
use exeunt::{ErrorKind, Record, Sessions, Token};

use crate::people::{People, anna, ben};
use crate::store::Fault;

/// What a request is for. All but the last are Anna's, from the browser with her first session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Op {
    Login,
    LoginOver,
    Resume,
    Update,
    Renew,
    Logout,
    LogoutAll,
    /// An administrator gives her another password.
    Password,
    Disable,
    List,
    Purge,
    /// Ben writes into his session.
    Other,
    /// She changes her password herself: the session in which she does it goes on under a new token.
    OwnPassword,
    /// A session of Anna's comes from another store, while no server works on this one.
    Copy,
    /// A node that begins after a crash ends what changes of accounts left.
    WorkOff,
}

/// All that a schedule is made of.
pub(crate) const ALL: [Op; 13] = [
    Op::Login,
    Op::LoginOver,
    Op::Resume,
    Op::Update,
    Op::Renew,
    Op::Logout,
    Op::LogoutAll,
    Op::Password,
    Op::Disable,
    Op::List,
    Op::Purge,
    Op::Other,
    Op::OwnPassword,
];

/// What a client heard.
#[derive(Debug)]
pub(crate) enum Answer {
    /// Nobody is logged in, or the session was over: nothing was done.
    No,
    LoggedIn {
        login: LoggedIn,
        stamp: u64,
        over: bool,
    },
    Resumed(Arc<Record>),
    Updated(Result<Arc<Record>, ErrorKind>),
    Renewed(LoggedIn),
    LoggedOut,
    AllEnded,
    /// The account changed, and this is its stamp since.
    Changed(u64),
    /// The same, and the session in which that was done goes on.
    OwnChanged(LoggedIn, u64),
    Listed(Vec<Record>),
    Purged(Purged),
}

pub(crate) type Request = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// The tokens in the cookies.
pub(crate) struct Cookies {
    pub(crate) anna: Arc<Token>,
    pub(crate) ben: Arc<Token>,
    /// The record of a session of Anna's that is in another store.
    pub(crate) elsewhere: Record,
}

/// What a request does from its first to its last step.
pub(crate) fn request(op: Op, by: u8, sessions: Sessions, people: People, cookies: &Cookies) -> Request {
    let token = Arc::clone(if op == Op::Other { &cookies.ben } else { &cookies.anna });
    let copied = cookies.elsewhere.clone();
    Box::pin(async move {
        match op {
            Op::Login => login(&sessions, &people, None).await,
            Op::LoginOver => login(&sessions, &people, Some(&token)).await,
            Op::Resume => resume(&sessions, &token, Extend::Yes).await.map_or(Answer::No, Answer::Resumed),
            Op::Update | Op::Other => update(&sessions, &token, by).await,
            Op::Renew => renew(&sessions, &people, &token).await,
            Op::Logout => {
                sessions.logout(&token).await.expect("the store answers");
                Answer::LoggedOut
            }
            Op::LogoutAll => {
                sessions.logout_all(&anna(), None).await.expect("the store answers");
                Answer::AllEnded
            }
            Op::Password => Answer::Changed(people.change(&sessions, false).await),
            Op::Disable => Answer::Changed(people.change(&sessions, true).await),
            Op::OwnPassword => own_password(&sessions, &people, &token, by).await,
            Op::List => Answer::Listed(sessions.list(&anna()).await.expect("the store answers")),
            Op::Purge => Answer::Purged(sessions.purge().await.expect("the store answers")),
            Op::Copy => {
                let store = people.store(by);
                let _ = store.create(&copied, usize::MAX).await.expect("the store answers");
                Answer::No
            }
            Op::WorkOff => Answer::Changed(people.work_off(&sessions).await),
        }
    })
}

pub(crate) async fn login(sessions: &Sessions, people: &People, replaces: Option<&Token>) -> Answer {
    let over = if people.fault == Fault::LoginKeepsTheOld { None } else { replaces };
    let options = LoginOptions { replaces: over, ..LoginOptions::default() };
    let login = sessions.login(people, anna(), options).await.expect("the store answers");
    let stamp = *people.checked.lock().expect("no test panics here");
    login.map_or(Answer::No, |login| Answer::LoggedIn { login, stamp, over: replaces.is_some() })
}

pub(crate) async fn bens_login(sessions: &Sessions, people: &People) -> LoggedIn {
    let login = sessions.login(people, ben(), LoginOptions::default()).await;
    login.expect("the store answers").expect("the password is right")
}

pub(crate) async fn resume(sessions: &Sessions, token: &Token, extend: Extend) -> Option<Arc<Record>> {
    sessions.resume(token, extend).await.expect("the store answers")
}

/// What a request leaves in the data.
pub(crate) fn mark(by: u8) -> String {
    format!("mark {by}")
}

async fn update(sessions: &Sessions, token: &Token, by: u8) -> Answer {
    let Some(record) = resume(sessions, token, Extend::No).await else { return Answer::No };
    let updated = sessions.update(&record, |data| data.set(&mark(by), &true)).await;
    Answer::Updated(updated.map_err(|error| error.kind()))
}

/// Who proves again who they are gets a new token.
async fn renew(sessions: &Sessions, people: &People, token: &Token) -> Answer {
    let Some(record) = resume(sessions, token, Extend::No).await else { return Answer::No };
    match sessions.reauthenticate(people, anna(), &record).await {
        Ok(renewed) => renewed.map_or(Answer::No, Answer::Renewed),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Ended, "the store and the accounts answer");
            Answer::No
        }
    }
}

async fn own_password(sessions: &Sessions, people: &People, token: &Token, by: u8) -> Answer {
    let Some(record) = resume(sessions, token, Extend::No).await else { return Answer::No };
    let changed = people.change_own(by, sessions, &record).await;
    changed.map_or(Answer::No, |(renewed, stamp)| Answer::OwnChanged(renewed, stamp))
}
