//! Ends the sessions of everybody.
//!
//! Must never say that all ended while one that was there when it began lives on.

use std::collections::{BTreeSet, HashSet};

use exeunt::{Error, Record, Sessions, UserId};

const PAGE: usize = 1_000;

/// Ends every session that there is, and tells how many it were. Ids rise with time, so one walk meets every session that
/// was there when it began.
///
/// # Errors
///
/// If the store did not answer: some may live on, and asking again goes on with them.
pub async fn end_everybodys(sessions: &Sessions) -> Result<usize, Error> {
    let mut number = 0;
    let mut after = None;
    loop {
        let found = sessions.walk(after.as_ref(), PAGE).await?;
        let Some(last) = found.last().map(Record::id) else { return Ok(number) };
        after = Some(last);
        let users: BTreeSet<&UserId> = found.iter().map(Record::user).collect();
        let mut ended = HashSet::new();
        for user in users {
            ended.extend(sessions.logout_all(user, None).await?);
        }
        number += ended.len();
        for record in found.iter().filter(|record| !ended.contains(&record.id())) {
            // On Redis an index that was lost does not name it.
            number += usize::from(sessions.end_any(&record.id()).await?.is_some());
        }
    }
}
