//! Every command of the operator, once: run by the server on behalf of a command, or by the command itself.
//!
//! Must never say "done" before the engines have said so, and must never be reachable over the network.

mod check;
mod everybody;
mod wire;

use exeunt::{Record, SessionId, Sessions};

pub use self::everybody::end_everybodys;
pub use self::wire::{
    Check, Code, Command, EngineLine, Fact, Failure, NewPassword, Reply, SessionLine, SetupLink, WantedEvents,
};
use crate::accounts::{Account, AccountError, Accounts, Changes, EventQuery, Last, SETUP_LINK_LASTS};
use crate::config::PublicUrl;
use crate::engines::Engines;

const PAGE: usize = 1_000;

/// What an operator may do. Cheap to clone; clones share everything.
#[derive(Clone, Debug)]
pub struct Admin {
    accounts: Accounts,
    sessions: Sessions,
    engines: Engines,
    public_url: PublicUrl,
}

impl Admin {
    /// Over accounts and sessions, and the engines that keep them. `public_url` is what set-up links begin with.
    #[must_use]
    pub fn new(accounts: Accounts, sessions: Sessions, engines: Engines, public_url: PublicUrl) -> Self {
        Self { accounts, sessions, engines, public_url }
    }

    /// Does one command, and answers once it is durable.
    ///
    /// # Errors
    ///
    /// [`Failure`] says what to tell the operator, and which exit code it is.
    pub async fn run(&self, command: Command) -> Result<Reply, Failure> {
        match command {
            Command::AccountAdd { name, password, admin, email } => {
                let (now, password) = (self.sessions.now(), password.expose());
                let added = self.accounts.add_with_email(&name, password, admin, email.as_deref(), now).await;
                Ok(Reply::Account { account: added.map_err(|error| about(&name, error))? })
            }
            Command::AccountList => Ok(Reply::Accounts { accounts: self.accounts.list().await? }),
            Command::AccountEnable { name } => {
                self.accounts.enable(&name).await.map_err(|error| about(&name, error))?;
                Ok(Reply::Account { account: self.account(&name).await? })
            }
            Command::AccountUnlock { name } => {
                self.accounts.unlock(&name).await.map_err(|error| about(&name, error))?;
                Ok(Reply::Account { account: self.account(&name).await? })
            }
            Command::AccountDisable { name, even_the_last } => {
                let changes = Changes { disabled: Some(true), ..Changes::default() };
                self.change(&name, changes, even_the_last).await
            }
            Command::AccountRole { name, admin, even_the_last } => {
                let changes = Changes { admin: Some(admin), ..Changes::default() };
                self.change(&name, changes, even_the_last).await
            }
            Command::AccountPassword { name, password } => {
                let ended = self.accounts.set_password(&name, password.expose()).await;
                let sessions_ended = ended.map_err(|error| about(&name, error))?;
                Ok(Reply::Changed { account: self.account(&name).await?, sessions_ended })
            }
            Command::AccountEmail { name, email } => {
                let changed = self.accounts.set_email(&name, email.as_deref()).await;
                Ok(Reply::Account { account: changed.map_err(|error| about(&name, error))? })
            }
            Command::AccountRemove { name, even_the_last } => {
                let id = self.account(&name).await?.id;
                let removed = self.accounts.remove_by_id(id, last(even_the_last)).await;
                let (account, sessions_ended) = removed.map_err(|error| about(&name, error))?;
                Ok(Reply::Changed { account, sessions_ended })
            }
            Command::SetupLink => Ok(Reply::SetupLink(self.new_setup_link().await?)),
            Command::SessionList { account: Some(name), .. } => {
                let records = self.sessions.list(&self.account(&name).await?.user()).await?;
                Ok(Reply::Sessions { sessions: self.lines(records).await?, next: None })
            }
            Command::SessionList { account: None, after, limit } => {
                let records = self.sessions.walk(after.as_ref(), limit).await?;
                let next = records.last().filter(|_| records.len() == limit).map(Record::id);
                Ok(Reply::Sessions { sessions: self.lines(records).await?, next })
            }
            Command::SessionEnd { session } => self.end_session(session).await,
            Command::SessionEndAll { account: Some(name) } => {
                let ended = self.sessions.logout_all(&self.account(&name).await?.user(), None).await?;
                Ok(Reply::Ended { sessions_ended: ended.len() })
            }
            Command::SessionEndAll { account: None } => self.end_all_sessions().await,
            Command::Events(WantedEvents { account, since, after, before, limit }) => {
                let whose = match account {
                    Some(name) => Some(self.accounts.whose(&name).await?),
                    None => None,
                };
                let query = EventQuery { whose, since, after, before, limit: limit.min(PAGE) };
                Ok(Reply::Events { events: self.accounts.events(&query).await? })
            }
            Command::Check => self.check().await,
        }
    }

    /// A new set-up link; the one before is void. For the server at its start, too.
    ///
    /// # Errors
    ///
    /// If there are accounts already, or the database did not answer.
    pub async fn new_setup_link(&self) -> Result<SetupLink, Failure> {
        let now = self.sessions.now();
        let secret = self.accounts.new_setup_link(now).await?;
        Ok(SetupLink {
            setup_link: format!("{}/setup?secret={}", self.public_url, secret.expose()),
            expires_at: now.plus(SETUP_LINK_LASTS),
        })
    }

    async fn account(&self, name: &str) -> Result<Account, Failure> {
        let found = self.accounts.find(name).await?;
        found.ok_or_else(|| about(name, AccountError::NoSuchAccount))
    }

    async fn change(&self, name: &str, changes: Changes, even_the_last: bool) -> Result<Reply, Failure> {
        let id = self.account(name).await?.id;
        let changed = self.accounts.change(id, changes, last(even_the_last)).await;
        let (account, sessions_ended) = changed.map_err(|error| about(name, error))?;
        Ok(Reply::Changed { account, sessions_ended })
    }

    async fn lines(&self, records: Vec<Record>) -> Result<Vec<SessionLine>, Failure> {
        Ok(SessionLine::of(&self.accounts, &records).await?)
    }

    async fn end_session(&self, session: SessionId) -> Result<Reply, Failure> {
        match self.sessions.end_any(&session).await? {
            Some(_) => Ok(Reply::Ended { sessions_ended: 1 }),
            None => Err(no_such_session(session)),
        }
    }

    async fn end_all_sessions(&self) -> Result<Reply, Failure> {
        Ok(Reply::Ended { sessions_ended: end_everybodys(&self.sessions).await? })
    }
}

fn last(even_the_last: bool) -> Last {
    if even_the_last { Last::Goes } else { Last::Stays }
}

fn about(name: &str, error: AccountError) -> Failure {
    let failure = Failure::from(error);
    Failure { message: format!("account {name:?}: {}", failure.message), ..failure }
}

fn no_such_session(session: SessionId) -> Failure {
    Failure::new(Code::NotFound, format!("there is no live session {session}"))
}
