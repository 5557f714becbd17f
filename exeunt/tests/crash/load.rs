//! People who log in and out at once, and a book of what they were told.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use exeunt::session::Parts;
use exeunt::store::Created;
use exeunt::{Client, Clock as _, Data, Record, SessionId, Store, SystemClock, Timestamp, UserId, Verifier};

const PEOPLE: i64 = 8;
/// How many ids one person has.
const IDS: i64 = 1 << 20;

/// What somebody was told, or asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A login was acknowledged.
    Created(SessionId),
    /// A logout is asked for: from now on the session may be gone.
    Ending(SessionId),
    /// That logout was acknowledged.
    Ended(SessionId),
}

/// Logs in and out until the store does not answer any more. `first`: no id from there on was used before.
///
/// `answers_early` is a broken store: it acknowledges a logout and does it then.
pub(crate) async fn work(
    store: Arc<dyn Store>,
    first: i64,
    answers_early: bool,
    tell: impl Fn(Event) + Clone + Send + Sync + 'static,
) {
    let people = (0..PEOPLE).map(|person| {
        let (store, tell) = (Arc::clone(&store), tell.clone());
        tokio::spawn(async move { one(&*store, first + person * IDS, answers_early, &tell).await })
    });
    for person in people.collect::<Vec<_>>() {
        // An error is the end that was waited for.
        let _: Result<(), exeunt::StoreError> = person.await.unwrap();
    }
}

async fn one(
    store: &dyn Store,
    first: i64,
    answers_early: bool,
    tell: &(impl Fn(Event) + Sync),
) -> Result<(), exeunt::StoreError> {
    let user = UserId::from(first);
    let mut live: Vec<Record> = Vec::new();
    for number in first..first + IDS {
        let now = SystemClock::new().now();
        let record = record(number, &user, now);
        assert_eq!(store.create(&record, 1_000).await?, Created::Yes { ended: vec![] });
        tell(Event::Created(record.id()));
        store.touch(&record.id(), record.verifier(), now, record.ends_at()).await?;
        let mut data = record.data();
        data.set("visits", &number).unwrap();
        let _ = store.save(&record.id(), record.verifier(), 0, &data, now).await?;
        live.push(record);
        match number % 8 {
            // Log out everywhere.
            7 => {
                let ids: Vec<_> = live.drain(..).map(|record| record.id()).collect();
                ids.iter().for_each(|id| tell(Event::Ending(*id)));
                store.destroy_all(&user, None).await?;
                ids.iter().for_each(|id| tell(Event::Ended(*id)));
            }
            3 => (),
            _ => {
                let id = live.swap_remove(0).id();
                tell(Event::Ending(id));
                if answers_early {
                    tell(Event::Ended(id));
                }
                store.destroy(&id).await?;
                tell(Event::Ended(id));
            }
        }
    }
    Ok(())
}

/// A session that lives for as long as any test takes.
pub(crate) fn record(id: i64, user: &UserId, now: Timestamp) -> Record {
    let later = now.plus(Duration::from_secs(24 * 60 * 60));
    Record::restore(Parts {
        id: SessionId::from_i64(id).unwrap(),
        verifier: Verifier::from_bytes([7; 32]),
        previous: None,
        user: user.clone(),
        created_at: now,
        authenticated_at: now,
        seen_at: now,
        expires_at: later,
        ends_at: later,
        remembered: false,
        revision: 0,
        client: Client::new("curl/8.5.0"),
        data: Data::default(),
    })
}

/// What people were told.
#[derive(Default)]
pub(crate) struct Book(HashMap<SessionId, Event>);

impl Book {
    pub(crate) fn note(&mut self, event: Event) {
        let (Event::Created(id) | Event::Ending(id) | Event::Ended(id)) = event;
        self.0.insert(id, event);
    }

    pub(crate) fn ended(&self) -> usize {
        self.0.values().filter(|event| matches!(event, Event::Ended(_))).count()
    }

    pub(crate) fn live(&self) -> usize {
        self.0.values().filter(|event| matches!(event, Event::Created(_))).count()
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// What is otherwise than somebody was told.
    pub(crate) async fn broken(&self, store: &dyn Store) -> Vec<String> {
        let now = SystemClock::new().now();
        let mut broken = Vec::new();
        for (id, event) in &self.0 {
            let is_live = store.load(id, now).await.unwrap().is_some();
            match event {
                Event::Created(_) if !is_live => broken.push(format!("the acknowledged login {id} was lost")),
                Event::Ended(_) if is_live => {
                    broken.push(format!("the acknowledged logout of {id} was lost"))
                }
                _ => (),
            }
        }
        broken
    }
}
