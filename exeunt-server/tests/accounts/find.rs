//! Accounts found by name: by what names have in them, and a page at a time, forward and back, however many there are.

use exeunt::store::postgres::Database;
use exeunt::store::sqlite::DatabaseError;
use exeunt::{Sessions, Timestamp};
use exeunt_server::accounts::{Account, Accounts, Cost, Find, Hasher, Place};
use exeunt_server::engines::Engines;
use tempfile::TempDir;

use crate::common::{Kept, Places};

const CHEAP: Cost = Cost { memory_kib: 8, passes: 1, lanes: 1 };
const PASSWORD: &str = "a quiet lamp over the harbour";

struct Server {
    accounts: Accounts,
    engines: Engines,
    places: Places,
    _folder: TempDir,
}

impl Server {
    async fn new(kept: Kept) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let places = kept.fresh(folder.path());
        let engines = places.open().await;
        let sessions = Sessions::over(engines.store(1 << 20).await.unwrap());
        let accounts = engines.accounts(&sessions, Hasher::with(CHEAP, 2, 100).unwrap()).await.unwrap();
        Self { accounts, engines, places, _folder: folder }
    }

    async fn names(&self, find: Find<'_>, limit: usize) -> Vec<String> {
        let found = self.accounts.page(find, limit).await.unwrap();
        found.into_iter().map(|Account { name, .. }| name).collect()
    }
}

async fn what_is_searched_for_is_letters_and_no_pattern_in_any_case(kept: Kept) {
    let server = Server::new(kept).await;
    for name in ["Zo\u{eb}", "al", "Alan", "100%", "a_b", "b\\c", "b'c", "\u{39f}\u{394}\u{39f}\u{3a3}"] {
        server.accounts.add(name, PASSWORD, false, Timestamp::default()).await.unwrap();
    }
    for (prefix, part, names) in [
        ("", "AL", vec!["al", "Alan"]),
        ("", "La", vec!["Alan"]),
        ("", "OE\u{308}", vec!["Zo\u{eb}"]),
        ("", "%", vec!["100%"]),
        ("", "_", vec!["a_b"]),
        ("", "\\", vec!["b\\c"]),
        ("", "'", vec!["b'c"]),
        ("", "*", vec![]),
        ("", "\u{394}\u{39f}\u{3c3}", vec!["\u{39f}\u{394}\u{39f}\u{3a3}"]),
        ("A", "B", vec!["a_b"]),
        ("b", "C", vec!["b'c", "b\\c"]),
        ("", "nobody", vec![]),
        // PostgreSQL takes no NUL.
        ("", "a\0", vec![]),
        ("a\0", "", vec![]),
    ] {
        assert_eq!(
            server.names(Find { prefix, part, ..Find::default() }, 100).await,
            names,
            "{prefix:?} {part:?}"
        );
    }
    let all = server.names(Find::default(), 100).await;
    assert_eq!(all.len(), 8);
    let beside = |place| Find { place, ..Find::default() };
    for (place, names) in [
        (Place::After("AL"), &all[3..]),
        (Place::Before("alan"), &all[..3]),
        (Place::Before("100%"), &[]),
        (Place::After("al\0"), &all[3..]),
        (Place::Before("al\0"), &all[..3]),
    ] {
        assert_eq!(server.names(beside(place), 100).await, names, "{place:?} in {all:?}");
    }
    assert_eq!(server.names(beside(Place::Before("alan")), 1).await, ["al"], "the nearest one");
}

async fn add_100_000(server: &Server) {
    if let Some(file) = server.engines.file() {
        let sql =
            "WITH RECURSIVE numbers(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM numbers WHERE i < 99999)
                   INSERT INTO accounts (name, folded, password, admin, created_at)
                   SELECT printf('User %05d', i), printf('user %05d', i), '', 0, 0 FROM numbers";
        let added = file.write(move |tx| Ok::<_, DatabaseError>(tx.execute(sql, [])?));
        return assert_eq!(added.await.unwrap(), 100_000);
    }
    let sql = "INSERT INTO exeunt_accounts (name, folded, password, admin, created_at)
               SELECT 'User ' || lpad(i::text, 5, '0'), 'user ' || lpad(i::text, 5, '0'), '', FALSE, 0
               FROM generate_series(0, 99999) AS i";
    let database = Database::connect(&server.places.store).await.unwrap();
    database.query(sql, &[]).await.unwrap();
}

async fn a_hundred_thousand_accounts_are_leafed_through_each_once(kept: Kept) {
    let server = Server::new(kept).await;
    add_100_000(&server).await;
    let all: Vec<String> = (0..100_000).map(|number| format!("User {number:05}")).collect();

    let (mut walked, mut after) = (Vec::new(), String::new());
    loop {
        let page = server.names(Find { place: Place::After(&after), ..Find::default() }, 12_345).await;
        let Some(last) = page.last() else { break };
        after = last.clone();
        assert!(walked.len() < all.len(), "it goes in a circle");
        walked.extend(page);
    }
    assert!(walked == all, "{} of them", walked.len());
    let (mut walked, mut before) = (Vec::new(), "V".to_owned());
    loop {
        let page = server.names(Find { place: Place::Before(&before), ..Find::default() }, 12_345).await;
        let Some(first) = page.first() else { break };
        before = first.clone();
        assert!(walked.len() < all.len(), "it goes in a circle");
        walked.splice(0..0, page);
    }
    assert!(walked == all, "{} of them", walked.len());

    // Ten that end so, ten that go on, and one that does both.
    let found: Vec<String> = all.into_iter().filter(|name| name.contains("9999")).collect();
    assert_eq!(found.len(), 19);
    fn find(place: Place<'_>) -> Find<'_> {
        Find { prefix: "us", part: "9999", place }
    }
    let mut walked = server.names(find(Place::default()), 7).await;
    for _ in 0..2 {
        let after = walked.last().unwrap().clone();
        walked.extend(server.names(find(Place::After(&after)), 7).await);
    }
    assert_eq!(walked, found);
    assert_eq!(server.names(find(Place::Before(&found[10])), 3).await, found[7..10]);
}

mod one_file {
    #[tokio::test]
    async fn what_is_searched_for_is_letters_and_no_pattern_in_any_case() {
        super::what_is_searched_for_is_letters_and_no_pattern_in_any_case(super::Kept::OneFile).await;
    }

    #[tokio::test]
    async fn a_hundred_thousand_accounts_are_leafed_through_each_once() {
        super::a_hundred_thousand_accounts_are_leafed_through_each_once(super::Kept::OneFile).await;
    }
}

mod postgres {
    #[tokio::test]
    async fn what_is_searched_for_is_letters_and_no_pattern_in_any_case() {
        super::what_is_searched_for_is_letters_and_no_pattern_in_any_case(super::Kept::Postgres).await;
    }

    #[tokio::test]
    async fn a_hundred_thousand_accounts_are_leafed_through_each_once() {
        super::a_hundred_thousand_accounts_are_leafed_through_each_once(super::Kept::Postgres).await;
    }
}
