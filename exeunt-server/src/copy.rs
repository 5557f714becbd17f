//! Moves sessions and accounts to another place without logging anybody out.
//!
//! Must never change anything where it copies from, write into a place that shows that it was used since, or say that
//! what ended is gone before it is. A place where sessions only ended since shows nothing: that no server works there
//! before the last pass is the operator's to see to.

mod place;
mod sessions;

use std::fmt::Write as _;

use serde::Serialize;

use self::place::FromSide;
pub use self::sessions::SessionsCopied;
use crate::accounts::copy::{AccountsCopied, CopyError, Everybody};
use crate::admin::{Code, Failure};
use crate::config::Place;
use crate::engines::Opened;

/// What to copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Only {
    /// Sessions alone.
    Sessions,
    /// Accounts alone.
    Accounts,
}

/// What to copy, from where, to where.
#[derive(Clone, Debug)]
pub struct Order {
    /// Where it is.
    pub from: Place,
    /// Where it is to be.
    pub to: Place,
    /// `None`: both, as far as they are there and can be kept.
    pub only: Option<Only>,
    /// Whether no server works on `from` any more, so that what ended there is removed from `to`.
    pub last: bool,
}

/// What a copy did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Copied {
    /// Of sessions; `None`: they were not to be copied.
    pub sessions: Option<SessionsCopied>,
    /// Of accounts; `None`: they were not to be copied, are not there, or cannot be kept.
    pub accounts: Option<AccountsCopied>,
    /// What the operator has to know and do now, one sentence or two each.
    pub notes: Vec<String>,
}

/// How far a copy is: called now and then.
pub type Progress<'a> = &'a (dyn Fn(&SessionsCopied) + Sync);

/// Copies, and answers once all of it is durable. Safe to repeat, as long as no server works on `to`.
///
/// # Errors
///
/// [`Failure`] says what was wrong. What was copied until then stays.
pub async fn copy(order: &Order, progress: Progress<'_>) -> Result<Copied, Failure> {
    check(order)?;
    let from = FromSide::open(&order.from, order.last).await?;
    let to = place::open(&order.to).await?;
    let mut copied = Copied::default();
    let wants = |what| order.only.is_none_or(|only| only == what);
    if wants(Only::Sessions) {
        let (source, target) = (from.sessions().await?, place::sessions(&to).await?);
        // Before anything is written: of a place that was used, all is as it was.
        sessions::check_unused(&source, &target).await?;
        if order.last {
            sessions::check_not_emptied(&source, &target).await?;
        }
        let accounts = accounts(order, &from, &to, &mut copied).await?;
        copied.sessions = Some(sessions::copy(&source, &target, order.last, progress).await?);
        copied.accounts = accounts;
    } else {
        copied.accounts = accounts(order, &from, &to, &mut copied).await?;
    }
    copied.notes.push(last_word(order, &copied));
    from.close();
    to.close();
    Ok(copied)
}

/// What cannot be asked for.
fn check(order: &Order) -> Result<(), Failure> {
    let usage = |message: String| Err(Failure::new(Code::Usage, message));
    let real = |place: &Place| place.file().and_then(|file| file.canonicalize().ok());
    let same_file = real(&order.from).is_some_and(|from| Some(from) == real(&order.to));
    if order.from == order.to || same_file {
        return usage("FROM and TO are one place".to_owned());
    }
    if order.only == Some(Only::Accounts) {
        for (name, place) in [("FROM", &order.from), ("TO", &order.to)] {
            if !place.keeps_accounts() {
                return usage(format!(
                    "{name} is {place}, and Redis keeps no accounts: name a file or PostgreSQL"
                ));
            }
        }
    }
    match order.from.file() {
        Some(file) if !file.exists() => {
            Err(Failure::new(Code::Store, format!("there is no store at {}", file.display())))
        }
        _ => Ok(()),
    }
}

/// Copies accounts, if that was asked for, there are any, and they can be kept; else a note says why not.
async fn accounts(
    order: &Order,
    from: &FromSide,
    to: &Opened,
    copied: &mut Copied,
) -> Result<Option<AccountsCopied>, Failure> {
    if order.only == Some(Only::Sessions) {
        return Ok(None);
    }
    let Some(origin) = from.accounts() else {
        copied
            .notes
            .push(format!("{} is Redis, which keeps no accounts: sessions alone were copied.", order.from));
        return Ok(None);
    };
    let Some(everybody) = Everybody::read(origin).await? else {
        copied.notes.push(format!("{} has no accounts.", order.from));
        return Ok(None);
    };
    let Some(engine) = to.database() else {
        copied.notes.push(format!(
            "Redis keeps no accounts: {} stay in {}. Name that with --accounts (accounts, EXEUNT_ACCOUNTS), or copy them \
             to a file or to PostgreSQL with --only accounts.",
            everybody.count(),
            order.from
        ));
        return Ok(None);
    };
    if order.last {
        everybody.check_nothing_is_left()?;
    }
    Ok(Some(everybody.write(engine).await?))
}

fn last_word(order: &Order, copied: &Copied) -> String {
    let Order { from, to, .. } = order;
    if order.last {
        return format!(
            "{from} is as it was. Start no server on it again, and do not copy from it once a server has started on \
             {to}: what ends there would live again."
        );
    }
    let mut word = String::new();
    if let Some(SessionsCopied { left, .. }) = copied.sessions
        && left > 0
    {
        let _ = write!(word, "Sessions that are in {to} and not in {from} any more: {left}. ");
    }
    word + &format!(
        "What ends in {from} from now on, and what ended since an earlier copy, is still in {to}: start no server on {to} \
         yet. Stop those on {from}, and copy once more with --final."
    )
}

impl From<CopyError> for Failure {
    fn from(error: CopyError) -> Self {
        let code = match &error {
            CopyError::Unusable { .. } | CopyError::SessionsLeft { .. } => Code::Store,
            CopyError::Foreign { .. } => Code::AlreadyExists,
            CopyError::Used { .. } => Code::Failed,
        };
        Self::caused(code, &error)
    }
}
