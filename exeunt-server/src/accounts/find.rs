//! Finds accounts by name, a page at a time, however many there are.
//!
//! Must never read more than a page into memory, nor take what somebody typed for a pattern: `%` and `_` are letters.

use super::name::{after_all_with, folded_part};
use super::{Account, AccountError, Accounts};

/// Which accounts to find. Left as it is: all of them, from the first.
#[derive(Clone, Copy, Debug, Default)]
pub struct Find<'a> {
    /// Those whose names begin so.
    pub prefix: &'a str,
    /// Those whose names have this in them, wherever.
    pub part: &'a str,
    /// Where the page lies.
    pub place: Place<'a>,
}

/// Where a page lies: beside a name, which need not be anybody's (any more).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place<'a> {
    /// Those that follow that name.
    After(&'a str),
    /// Those that come right before that name.
    Before(&'a str),
}

impl Default for Place<'_> {
    fn default() -> Self {
        Self::After("")
    }
}

/// As the database is asked: all texts folded, as names are. One bound on either side: of two a database may take the
/// farther one, and walk from there to the other.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) low: String,
    /// Whether `low` itself is wanted, too. `high` never is.
    pub(super) with_low: bool,
    pub(super) high: String,
    pub(super) part: String,
    /// From `high` down.
    pub(super) backward: bool,
    pub(super) limit: i64,
}

impl Page {
    fn new(find: Find<'_>, limit: usize) -> Self {
        let (prefix, part) = (folded_part(find.prefix), folded_part(find.part));
        let end = after_all_with(&prefix);
        let (low, with_low, high, backward) = match find.place {
            Place::After(name) => match folded_part(name) {
                after if after < prefix => (prefix, true, end, false),
                after => (after, false, end, false),
            },
            Place::Before(name) => (prefix, true, end.min(folded_part(name)), true),
        };
        Self { low, with_low, high, part, backward, limit: i64::try_from(limit).unwrap_or(i64::MAX) }
    }
}

impl Accounts {
    /// At most `limit` accounts, in the order of names without regard to case.
    ///
    /// Walks the index of names from that place on: a page in the middle costs what the first one does. What is in no name
    /// is looked for in all of them.
    ///
    /// # Errors
    ///
    /// If the database did not answer.
    pub async fn page(&self, find: Find<'_>, limit: usize) -> Result<Vec<Account>, AccountError> {
        let page = Page::new(find, limit);
        let mut found = self.backend.page(&page).await?;
        if page.backward {
            found.reverse();
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_begins_and_ends_at_the_nearer_of_its_bounds() {
        let end = after_all_with("");
        for (prefix, place, low, with_low, high) in [
            ("", Place::default(), "", false, end.as_str()),
            ("", Place::After("K"), "k", false, &end),
            ("L", Place::After("K"), "l", true, "m"),
            ("L", Place::After("LO"), "lo", false, "m"),
            ("L", Place::After("X"), "x", false, "m"),
            ("", Place::Before("K"), "", true, "k"),
            ("L", Place::Before("LO"), "l", true, "lo"),
            ("L", Place::Before("X"), "l", true, "m"),
            ("L", Place::Before("K"), "l", true, "k"),
        ] {
            let page = Page::new(Find { prefix, part: "A", place }, 7);
            let backward = matches!(place, Place::Before(_));
            let (low, high) = (low.to_owned(), high.to_owned());
            let wanted = Page { low, with_low, high, part: "a".to_owned(), backward, limit: 7 };
            assert_eq!(page, wanted, "{prefix:?} {place:?}");
        }
    }
}
