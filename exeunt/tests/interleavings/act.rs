//! What a step does to a session, where a broken store does something else.

use std::time::Duration;

use exeunt::session::Parts;
use exeunt::store::{Saved, Store as _};
use exeunt::{Data, Record, SessionId, Timestamp, Verifier};

use crate::shared::{EVER, Shared};
use crate::store::Fault;

pub(crate) fn is_live(shared: &Shared, id: SessionId, verifier: &Verifier, now: Timestamp) -> bool {
    Shared::of(shared.store.load(&id, now)).is_some_and(|record| record.verifier() == verifier)
}

pub(crate) fn renew(
    shared: &mut Shared,
    fault: Fault,
    id: SessionId,
    old: &Verifier,
    new: Verifier,
    now: Timestamp,
    expires_at: Timestamp,
) -> bool {
    if fault == Fault::RenewForgets {
        return shared.stored(&id).is_some();
    }
    let renewed = Shared::of(shared.store.renew(&id, old, &new, now, expires_at));
    if !renewed && fault == Fault::RenewCreates && shared.stored(&id).is_none() {
        let parts = shared.known[&id].clone().into_parts();
        put(shared, Parts { verifier: new, ..parts });
        return true;
    }
    renewed
}

pub(crate) fn save(
    shared: &mut Shared,
    fault: Fault,
    id: SessionId,
    verifier: &Verifier,
    revision: u32,
    data: &Data,
    now: Timestamp,
) -> Saved {
    let stored = shared.stored(&id);
    let revision = match (fault, &stored) {
        (Fault::SaveIgnoresRevisions, Some(stored)) => stored.revision(),
        _ => revision,
    };
    let saved = Shared::of(shared.store.save(&id, verifier, revision, data, now));
    match (fault, saved) {
        (Fault::SaveInserts, Saved::Gone) => {
            let parts = shared.known[&id].clone().into_parts();
            put(shared, Parts { data: data.clone(), ..parts });
            Saved::At(revision + 1)
        }
        (Fault::SaveDenies, Saved::At(_)) => Saved::Gone,
        (Fault::SaveCrosses, Saved::At(_)) => {
            let others = shared.known.keys().filter(|other| **other != id);
            let others: Vec<_> = others.filter_map(|other| shared.stored(other)).collect();
            for other in others {
                let parts = Record::clone(&other).into_parts();
                put(shared, Parts { data: data.clone(), ..parts });
            }
            saved
        }
        _ => saved,
    }
}

pub(crate) fn touch(
    shared: &mut Shared,
    fault: Fault,
    id: SessionId,
    verifier: &Verifier,
    now: Timestamp,
    expires_at: Timestamp,
) -> bool {
    let touched = Shared::of(shared.store.touch(&id, verifier, now, expires_at));
    if let (Fault::TouchMovesTheEnd, true, Some(stored)) = (fault, touched, shared.stored(&id)) {
        let ends_at = now.plus(Duration::from_secs(60 * 60));
        let parts = Record::clone(&stored).into_parts();
        put(shared, Parts { expires_at: ends_at, ends_at, ..parts });
    }
    touched
}

pub(crate) fn everything(shared: &Shared) -> Vec<SessionId> {
    Shared::of(shared.store.walk(None, usize::MAX, EVER)).iter().map(Record::id).collect()
}

pub(crate) fn destroy_everything(shared: &mut Shared) -> Vec<SessionId> {
    let all = everything(shared);
    all.into_iter().filter(|id| Shared::of(shared.store.destroy(id))).collect()
}

/// Writes a session, whatever there was.
fn put(shared: &mut Shared, parts: Parts) {
    let record = Record::restore(parts);
    Shared::of(shared.store.destroy(&record.id()));
    let _ = Shared::of(shared.store.create(&record, usize::MAX));
}
