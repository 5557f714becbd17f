//! The laws of `load`, `list` and `walk`, and of what survives being stored.

use std::net::IpAddr;
use std::sync::Arc;

use super::{
    ANSWERS, MICROSECOND, MINUTE, NO_LIMIT, assert_gone, assert_stored, create, created, destroy, ids, list,
    load, record, save, start, touch, user, walk,
};
use crate::session::{Client, Data, DataError, Lifetime, Login, Record, UserId};
use crate::store::{Created, Saved, Store};

/// What never was and what was destroyed look alike: nothing.
pub async fn load_hides_the_unknown_and_the_destroyed(store: Arc<dyn Store>) {
    let now = start();
    let never = record(&user(1), now);
    assert_gone(&*store, &never, now).await;
    let ended = created(&*store, &user(1), now).await;
    assert_stored(&*store, &ended, now).await;
    assert!(destroy(&*store, &ended.id()).await);
    assert_gone(&*store, &ended, now).await;
}

/// One microsecond before it expires a session lives; at the instant itself it is over.
pub async fn load_hides_the_expired_from_the_very_instant(store: Arc<dyn Store>) {
    // R15
    let now = start().plus(7 * MICROSECOND);
    let record = created(&*store, &user(1), now).await;
    let last = now.plus(30 * MINUTE - MICROSECOND);
    assert_stored(&*store, &record, last).await;
    assert_eq!(ids(&list(&*store, &user(1), last).await), [record.id()]);
    assert_eq!(ids(&walk(&*store, last).await), [record.id()]);
    assert_gone(&*store, &record, record.expires_at()).await;
    assert_gone(&*store, &record, record.ends_at().plus(MINUTE)).await;
}

/// A list has all live sessions of its user and nobody else's, the last seen first.
pub async fn list_is_exact_and_shows_the_last_seen_first(store: Arc<dyn Store>) {
    // R17
    let (now, owner) = (start(), user(1));
    let expired = created(&*store, &owner, now).await;
    let later = now.plus(20 * MINUTE);
    let a = created(&*store, &owner, later).await;
    let b = created(&*store, &owner, later.plus(MINUTE)).await;
    let c = created(&*store, &owner, later.plus(2 * MINUTE)).await;
    let others = created(&*store, &user(2), later).await;
    let at = expired.expires_at();
    assert_eq!(list(&*store, &owner, at).await, [c.clone(), b.clone(), a.clone()]);

    assert!(touch(&*store, &a, at, at.plus(30 * MINUTE)).await);
    assert!(destroy(&*store, &b.id()).await);
    let listed = list(&*store, &owner, at).await;
    assert_eq!(ids(&listed), [a.id(), c.id()]);
    for record in listed {
        assert_stored(&*store, &record, at).await;
    }
    assert_eq!(list(&*store, &user(2), at).await, [others]);
    assert_eq!(list(&*store, &user(3), at).await, []);
}

/// Page by page, of any size, a walk meets each live session once, whosever it is.
pub async fn walk_meets_every_live_session_once_in_order_of_ids(store: Arc<dyn Store>) {
    // R20
    let now = start();
    let mut live = Vec::new();
    for number in 0..25 {
        created(&*store, &user(number % 3), now).await;
        live.push(created(&*store, &user(number % 4), now.plus(20 * MINUTE)).await);
    }
    let at = now.plus(30 * MINUTE);
    for limit in [1, 2, 7, 25, 26, NO_LIMIT] {
        let (mut met, mut after) = (Vec::new(), None);
        loop {
            let page = store.walk(after.as_ref(), limit, at).await.expect(ANSWERS);
            assert!(page.len() <= limit);
            let Some(last) = page.last() else { break };
            after = Some(last.id());
            assert!(met.len() < 100, "a walk of pages of {limit} does not come to its end");
            met.extend(page);
        }
        assert_eq!(met, live, "by pages of {limit}");
    }
}

/// Whatever JSON is kept comes back byte for byte: unicode, nesting, and up to 64 KiB of it.
pub async fn data_comes_back_as_it_was_saved(store: Arc<dyn Store>) {
    let now = start();
    let nested = format!(r#"{{"deep":{}{}}}"#, "[".repeat(100), "]".repeat(100));
    let full = format!(r#"{{"big":"{}"}}"#, "x".repeat(Data::LIMIT - 10));
    let wide = format!(r#"{{"big":"{}"}}"#, "é".repeat((Data::LIMIT - 10) / 2));
    assert_eq!(full.len(), Data::LIMIT);
    let texts = [
        "{}",
        r#"{"":null}"#,
        r#"{ "spaces" : [ 1.0 , 1e5 , -0 , 12345678901234567890 ] }"#,
        r#"{"b":1,"a":2,"twice":"\u0000\"'\\ % _ \n"}"#,
        r#"{"Zoë":"✓ 😀 \ud83d\ude00  e\u0301 é"}"#,
        &nested,
        &full,
        &wide,
        "{}",
    ];
    let kept = created(&*store, &user(1), now).await;
    for (revision, text) in (0..).zip(texts) {
        let data = Data::from_json(text).expect("it is within the limit");
        let login = Login { data: data.clone(), ..Login::default() };
        let (_, fresh) = Record::new(user(2), now, &Lifetime::default(), login);
        assert_eq!(create(&*store, &fresh, NO_LIMIT).await, Created::Yes { ended: vec![] });
        assert_stored(&*store, &fresh, now).await;

        assert_eq!(save(&*store, &kept, revision, &data, now).await, Saved::At(revision + 1));
        let found = load(&*store, &kept.id(), now).await.expect("it lives");
        assert!(found.data_json() == text, "{} bytes came back as others", text.len());
        assert_eq!(found.client(), kept.client());
    }
}

/// More than 64 KiB never reaches a store: there is no [`Data`] of it.
pub async fn too_much_data_is_refused_by_its_type(store: Arc<dyn Store>) {
    let now = start();
    let text = format!(r#"{{"big":"{}"}}"#, "x".repeat(Data::LIMIT - 9));
    let refused = Data::from_json(text.clone()).expect_err("it is one byte too long");
    assert!(matches!(refused, DataError::TooLarge { bytes } if bytes == Data::LIMIT + 1));
    let record = created(&*store, &user(1), now).await;
    let mut data = record.data();
    let refused = data.set("big", &text).expect_err("it is too long");
    assert!(refused.to_string().contains("at most 65536"), "{refused}");
    assert_eq!(save(&*store, &record, 0, &data, now).await, Saved::At(1));
    assert_eq!(load(&*store, &record.id(), now).await.map(|found| found.data()), Some(record.data()));
}

/// The longest and oddest texts of users and clients survive.
pub async fn the_texts_of_users_and_clients_come_back_as_they_were(store: Arc<dyn Store>) {
    let now = start();
    let users = ["é".repeat(64), "😀".repeat(32), "x".repeat(128), "'; --\\\"\u{202e}".to_owned()];
    let clients = ["é".repeat(100), "😀".repeat(50), "x".repeat(200), "{\"a\":1}".to_owned(), String::new()];
    for name in users {
        let owner = UserId::new(&name).expect("it is within the limit");
        for text in &clients {
            let login = Login { client: Client::new(text), ..Login::default() };
            let (_, record) = Record::new(owner.clone(), now, &Lifetime::default(), login);
            assert_eq!(record.client(), text);
            assert_eq!(create(&*store, &record, NO_LIMIT).await, Created::Yes { ended: vec![] });
            assert_stored(&*store, &record, now).await;
        }
        let address = IpAddr::from([0x2001, 0xdb8, 0x1111, 0x2222, 0x3333, 0x4444, 0x5555, 0x6666]);
        let login = Login { client: Client::new(&"x".repeat(200)).at(address), ..Login::default() };
        let (_, record) = Record::new(owner.clone(), now, &Lifetime::default(), login);
        assert_eq!(create(&*store, &record, NO_LIMIT).await, Created::Yes { ended: vec![] });
        let found = load(&*store, &record.id(), now).await.expect("it lives");
        assert_eq!((found.client(), found.address()), (record.client(), Some(address)));
        assert_eq!(list(&*store, &owner, now).await.len(), clients.len() + 1);
        assert_eq!(super::destroy_all(&*store, &owner, None).await.len(), clients.len() + 1);
    }
}

/// No instant is rounded, not even by a microsecond.
pub async fn instants_are_kept_to_the_microsecond(store: Arc<dyn Store>) {
    let now = start();
    for odd in [1, 999, 1_000, 1_001, 999_999, 123_457] {
        let at = now.plus(odd * MICROSECOND);
        let record = created(&*store, &user(1), at).await;
        let seen = at.plus(MINUTE + MICROSECOND);
        let expires = seen.plus(30 * MINUTE + 3 * MICROSECOND);
        assert!(touch(&*store, &record, seen, expires).await);
        assert_stored(&*store, &record.touched(seen, expires), seen).await;
    }
}

/// A store that works says so.
pub async fn the_store_gives_a_sign_of_life(store: Arc<dyn Store>) {
    store.ping().await.expect(ANSWERS);
}
