//! The laws of `create`: insert only, and the limit.

#![expect(clippy::panic, reason = "a law that is broken panics")]

use std::sync::Arc;

use tokio::task::JoinSet;

use super::{
    ANSWERS, MINUTE, NO_LIMIT, assert_gone, assert_stored, create, created, data, ids, list, load, record,
    save, sorted, start, touch, user, walk,
};
use crate::session::{Client, Lifetime, Login, Record, UserId};
use crate::store::{Created, Saved, Store};

/// A created session is there at once, with every field as it was, however it is asked for.
pub async fn create_makes_a_session_that_loads_unchanged(store: Arc<dyn Store>) {
    let now = start();
    for remembered in [false, true] {
        let owner = user(i64::from(remembered));
        let login = Login { client: Client::new("Mozilla/5.0 (X11)"), remembered, data: data("kept") };
        let (_, record) = Record::new(owner.clone(), now, &Lifetime::default(), login);
        assert_eq!(create(&*store, &record, NO_LIMIT).await, Created::Yes { ended: vec![] });
        assert_stored(&*store, &record, now).await;
        assert_eq!(list(&*store, &owner, now).await, std::slice::from_ref(&record));
        assert!(walk(&*store, now).await.contains(&record));
    }
    let (_, bare) = Record::new(user(9), now, &Lifetime::default(), Login::default());
    assert_eq!(create(&*store, &bare, NO_LIMIT).await, Created::Yes { ended: vec![] });
    assert_stored(&*store, &bare, now).await;
}

/// Users whose ids differ in one byte are different people, whatever a collation or a pattern makes of them.
pub async fn create_keeps_users_apart_byte_by_byte(store: Arc<dyn Store>) {
    let now = start();
    let names = ["a", "A", "a ", " a", "%", "_", "*", "a:b", "a/b", "é", "e\u{301}", "1", "01", "1.0", "{a}"];
    let mut made = Vec::new();
    for name in names {
        let owner = UserId::new(name).expect("it is short");
        made.push(created(&*store, &owner, now).await);
    }
    for record in &made {
        assert_eq!(ids(&list(&*store, record.user(), now).await), [record.id()], "of {:?}", record.user());
        assert_eq!(store.destroy_all(record.user(), None).await.expect(ANSWERS), [record.id()]);
    }
}

/// A taken id is refused, and the session under it is as it was.
pub async fn create_refuses_a_taken_id_and_leaves_it_as_it_was(store: Arc<dyn Store>) {
    let now = start();
    let first = created(&*store, &user(1), now).await;
    let other = record(&user(2), now.plus(MINUTE));
    let mut parts = other.into_parts();
    parts.id = first.id();
    let second = Record::restore(parts);
    assert_eq!(create(&*store, &second, NO_LIMIT).await, Created::Taken);
    assert_eq!(create(&*store, &first, NO_LIMIT).await, Created::Taken);
    assert_stored(&*store, &first, now).await;
    assert_eq!(list(&*store, &user(1), now).await, std::slice::from_ref(&first));
    assert_eq!(list(&*store, &user(2), now).await, []);

    assert_eq!(save(&*store, &first, 0, &data("more"), now).await, Saved::At(1));
    assert_eq!(create(&*store, &first, 1).await, Created::Taken);
    let kept = load(&*store, &first.id(), now).await.expect("it lives");
    assert_eq!(kept.revision(), 1, "a refused create put the old record back");
}

/// The id of an expired session is still taken: what comes with it does not begin a second life.
pub async fn create_refuses_the_id_of_an_expired_session(store: Arc<dyn Store>) {
    let now = start();
    let first = created(&*store, &user(1), now).await;
    let later = first.expires_at().plus(MINUTE);
    let mut parts = record(&user(1), later).into_parts();
    parts.id = first.id();
    assert_eq!(create(&*store, &Record::restore(parts), NO_LIMIT).await, Created::Taken);
    assert_gone(&*store, &first, later).await;
    assert_eq!(list(&*store, &user(1), later).await, []);
}

/// Where a user has too many, those unseen the longest end in the same step, and are named.
pub async fn create_ends_the_sessions_unseen_longest_beyond_the_limit(store: Arc<dyn Store>) {
    // R56
    let (now, owner) = (start(), user(1));
    let mut made = Vec::new();
    for minute in 0..3 {
        made.push(created(&*store, &owner, now.plus(minute * MINUTE)).await);
    }
    let [a, b, c] = &*made else { unreachable!("three were made") };
    let seen = now.plus(3 * MINUTE);
    assert!(touch(&*store, a, seen, seen.plus(30 * MINUTE)).await);

    let d = record(&owner, now.plus(4 * MINUTE));
    assert_eq!(create(&*store, &d, 3).await, Created::Yes { ended: vec![b.id()] });
    let at = now.plus(4 * MINUTE);
    assert_gone(&*store, b, at).await;
    assert_eq!(ids(&list(&*store, &owner, at).await), [d.id(), a.id(), c.id()]);

    let e = record(&owner, now.plus(5 * MINUTE));
    let Created::Yes { ended } = create(&*store, &e, 2).await else { panic!("the id is free") };
    assert_eq!(sorted(ended), sorted(vec![a.id(), c.id()]), "a lower limit ends as many as are too many");
    assert_eq!(ids(&list(&*store, &owner, now.plus(5 * MINUTE)).await), [e.id(), d.id()]);
}

/// Expired sessions and other people's do not count towards the limit.
pub async fn create_counts_only_live_sessions_of_the_same_user(store: Arc<dyn Store>) {
    // R56
    let now = start();
    for _ in 0..3 {
        created(&*store, &user(1), now).await;
        created(&*store, &user(2), now.plus(40 * MINUTE)).await;
    }
    let later = now.plus(40 * MINUTE);
    let first = record(&user(1), later);
    assert_eq!(create(&*store, &first, 2).await, Created::Yes { ended: vec![] });
    let second = record(&user(1), later.plus(MINUTE));
    assert_eq!(create(&*store, &second, 2).await, Created::Yes { ended: vec![] });
    let third = record(&user(1), later.plus(2 * MINUTE));
    assert_eq!(create(&*store, &third, 2).await, Created::Yes { ended: vec![first.id()] });
    assert_eq!(list(&*store, &user(2), later).await.len(), 3);
}

/// The new session lives whatever the limit, zero too.
pub async fn create_keeps_at_least_the_new_session(store: Arc<dyn Store>) {
    let now = start();
    let first = record(&user(1), now);
    assert_eq!(create(&*store, &first, 0).await, Created::Yes { ended: vec![] });
    let second = record(&user(1), now.plus(MINUTE));
    assert_eq!(create(&*store, &second, 0).await, Created::Yes { ended: vec![first.id()] });
    assert_stored(&*store, &second, now.plus(MINUTE)).await;
}

/// However many come at once, a user ends up with exactly the limit, and each end is named once.
pub async fn concurrent_creates_honour_the_limit(store: Arc<dyn Store>) {
    // R56
    const LIMIT: usize = 5;
    let now = start();
    let mut tasks = JoinSet::new();
    for number in 0..40 {
        let (store, record) = (Arc::clone(&store), record(&user(1), now.plus(number * MINUTE / 100)));
        tasks.spawn(async move { (record.id(), create(&*store, &record, LIMIT).await) });
    }
    let (mut made, mut over) = (Vec::new(), Vec::new());
    for (id, answer) in tasks.join_all().await {
        let Created::Yes { ended } = answer else { panic!("each id is fresh") };
        made.push(id);
        over.extend(ended);
    }
    let left = ids(&list(&*store, &user(1), now.plus(MINUTE)).await);
    assert_eq!(left.len(), LIMIT);
    over.extend(left);
    assert_eq!(sorted(over), sorted(made), "each session either lives or was named once");
}

/// Of several creates under one id at once, for several users, one makes a session and the others change nothing.
pub async fn concurrent_creates_of_one_id_make_one_session(store: Arc<dyn Store>) {
    let now = start();
    for round in 0..8 {
        let id = record(&user(0), now).id();
        let mut tasks = JoinSet::new();
        for number in 0..8 {
            let mut parts = record(&user(100 * round + number), now).into_parts();
            parts.id = id;
            let (store, record) = (Arc::clone(&store), Record::restore(parts));
            tasks.spawn(async move { (create(&*store, &record, NO_LIMIT).await, record) });
        }
        let answers = tasks.join_all().await;
        let won = answers.iter().filter(|(answer, _)| *answer != Created::Taken).collect::<Vec<_>>();
        let [(_, winner)] = &*won else { panic!("{} creates of one id were acknowledged", won.len()) };
        assert_stored(&*store, winner, now).await;
        for (_, tried) in &answers {
            let expected = if tried.user() == winner.user() { vec![id] } else { vec![] };
            assert_eq!(ids(&list(&*store, tried.user(), now).await), expected);
            assert_eq!(super::destroy_all(&*store, tried.user(), None).await, expected);
        }
    }
}
