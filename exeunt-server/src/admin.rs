//! Every command of the operator, once: run by the server on behalf of a command, or by the command itself.
//!
//! Must never say "done" before the engines have said so, and must never be reachable over the network.

mod check;

mod wire;

use exeunt::{Record, SessionId, Sessions, UserId};

pub use self::wire::{
    Check, Code, Command, EngineLine, Fact, Failure, NewPassword, Reply, SessionLine, SetupLink, WantedEvents,
};
use crate::accounts::{Account, AccountError, Accounts, EventQuery, SETUP_LINK_LASTS};
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
            Command::AccountDisable { name } => {
                let ended = self.accounts.disable(&name).await;
                let sessions_ended = ended.map_err(|error| about(&name, error))?;
                Ok(Reply::Changed { account: self.account(&name).await?, sessions_ended })
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
            Command::AccountRemove { name } => {
                let account = self.account(&name).await?;
                let ended = self.accounts.remove(&name).await;
                Ok(Reply::Changed { account, sessions_ended: ended.map_err(|error| about(&name, error))? })
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

    async fn lines(&self, records: Vec<Record>) -> Result<Vec<SessionLine>, Failure> {
        let mut accounts: std::collections::HashMap<UserId, Option<String>> =
            std::collections::HashMap::new();
        let mut lines = Vec::with_capacity(records.len());
        for record in records {
            let account = match accounts.get(record.user()) {
                Some(known) => known.clone(),
                None => {
                    let name = self.accounts.find_user(record.user()).await?.map(|account| account.name);
                    accounts.insert(record.user().clone(), name.clone());
                    name
                }
            };
            lines.push(SessionLine::new(&record, account));
        }
        Ok(lines)
    }

    async fn end_session(&self, session: SessionId) -> Result<Reply, Failure> {
        // The session that comes first after the id just below.
        let below = session.to_i64().checked_sub(1).and_then(SessionId::from_i64);
        let found = self.sessions.walk(below.as_ref(), 1).await?;
        let Some(record) = found.first().filter(|record| record.id() == session) else {
            return Err(no_such_session(session));
        };
        match self.sessions.end(record.user(), &session).await? {
            true => Ok(Reply::Ended { sessions_ended: 1 }),
            false => Err(no_such_session(session)),
        }
    }

    /// Everybody's. Ids rise with time, so one walk meets every session that was there when it began.
    async fn end_all_sessions(&self) -> Result<Reply, Failure> {
        let mut sessions_ended = 0;
        let mut after = None;
        loop {
            let found = self.sessions.walk(after.as_ref(), PAGE).await?;
            let Some(last) = found.last().map(Record::id) else { break };
            after = Some(last);
            let users: std::collections::BTreeSet<&UserId> = found.iter().map(Record::user).collect();
            let mut ended = std::collections::HashSet::new();
            for user in users {
                ended.extend(self.sessions.logout_all(user, None).await?);
            }
            sessions_ended += ended.len();
            for record in found.iter().filter(|record| !ended.contains(&record.id())) {
                // On Redis an index that was lost does not name it.
                sessions_ended += usize::from(self.sessions.end(record.user(), &record.id()).await?);
            }
        }
        Ok(Reply::Ended { sessions_ended })
    }
}

fn about(name: &str, error: AccountError) -> Failure {
    let failure = Failure::from(error);
    Failure { message: format!("account {name:?}: {}", failure.message), ..failure }
}

fn no_such_session(session: SessionId) -> Failure {
    Failure::new(Code::NotFound, format!("there is no live session {session}"))
}
