//! The value of a session in Redis: bytes at fixed places, so that a script can change them where they lie.
//!
//! A value of another version must never be taken for an absent one, and must never be written over.
//!
//! | bytes | what |
//! | --- | --- |
//! | 0 | version, 1 |
//! | 1 | flags: 1 remembered, 2 there is a previous verifier, 4 authenticated later than created |
//! | 2–5 | revision |
//! | 6–37 | verifier |
//! | 38–69 | created, seen, expires, ends: microseconds since 1970, 8 bytes each |
//! | then | authenticated (8 bytes) with flag 4, the previous verifier (32 bytes) with flag 2 |
//! | then | length of the user (1 byte), user; length of the client (1 byte), client; data as JSON, nothing for `{}` |
//!
//! Numbers have their highest byte first. The scripts know these places too.

use super::error::Fault;
use crate::session::{Client, Data, Parts, Record, SessionId, Timestamp, UserId, Verifier};

const VERSION: u8 = 1;
const REMEMBERED: u8 = 1;
const HAS_PREVIOUS: u8 = 2;
const HAS_AUTHENTICATED: u8 = 4;

/// What a value says that a newer version wrote. Scripts say it, too.
pub(super) const NEWER: &str = "a newer exeunt wrote it: update this one, or log out everywhere";
const DAMAGED: &str = "its value is damaged: log its user out everywhere, or delete its key";

pub(super) fn pack(record: &Record) -> Vec<u8> {
    let authenticated = Some(record.authenticated_at()).filter(|at| *at != record.created_at());
    let flag = |set: bool, flag: u8| if set { flag } else { 0 };
    let flags = flag(record.remembered(), REMEMBERED)
        | flag(record.previous().is_some(), HAS_PREVIOUS)
        | flag(authenticated.is_some(), HAS_AUTHENTICATED);
    let data = if record.data_json() == "{}" { "" } else { record.data_json() };
    let texts = record.user().as_str().len() + record.stored_client().len() + data.len();
    let mut value = Vec::with_capacity(112 + texts);
    value.extend([VERSION, flags]);
    value.extend(record.revision().to_be_bytes());
    value.extend(record.verifier().as_bytes());
    for instant in [record.created_at(), record.seen_at(), record.expires_at(), record.ends_at()] {
        value.extend(instant_bytes(instant));
    }
    value.extend(authenticated.into_iter().flat_map(instant_bytes));
    value.extend(record.previous().into_iter().flat_map(|previous| previous.as_bytes()));
    for text in [record.user().as_str(), record.stored_client()] {
        value.push(u8::try_from(text.len()).expect("users have at most 128 bytes, clients 200"));
        value.extend(text.as_bytes());
    }
    value.extend(data.as_bytes());
    value
}

pub(super) fn unpack(id: SessionId, value: &[u8]) -> Result<Record, Fault> {
    match value.first() {
        Some(&VERSION) => {
            parts(id, value).map(Record::restore).ok_or(Fault::Unreadable { id, what: DAMAGED })
        }
        Some(_) => Err(Fault::Unreadable { id, what: NEWER }),
        None => Err(Fault::Unreadable { id, what: DAMAGED }),
    }
}

/// A number as scripts compare it.
pub(super) fn instant_bytes(instant: Timestamp) -> [u8; 8] {
    instant.as_micros().to_be_bytes()
}

fn parts(id: SessionId, value: &[u8]) -> Option<Parts> {
    let mut rest = value.get(1..)?;
    let flags = take::<1>(&mut rest)?[0];
    let revision = u32::from_be_bytes(take(&mut rest)?);
    let verifier = Verifier::from_bytes(take(&mut rest)?);
    let created_at = instant(&mut rest)?;
    let (seen_at, expires_at, ends_at) = (instant(&mut rest)?, instant(&mut rest)?, instant(&mut rest)?);
    let authenticated_at = match flags & HAS_AUTHENTICATED {
        0 => created_at,
        _ => instant(&mut rest)?,
    };
    let previous = match flags & HAS_PREVIOUS {
        0 => None,
        _ => Some(Verifier::from_bytes(take(&mut rest)?)),
    };
    let user = UserId::new(text(&mut rest)?).ok()?;
    let client = Client::restore(text(&mut rest)?);
    let data = std::str::from_utf8(rest).ok()?;
    let data = if data.is_empty() { Data::default() } else { Data::from_json(data).ok()? };
    let remembered = flags & REMEMBERED != 0;
    Some(Parts {
        id,
        verifier,
        previous,
        user,
        created_at,
        authenticated_at,
        seen_at,
        expires_at,
        ends_at,
        remembered,
        revision,
        client,
        data,
    })
}

fn instant(rest: &mut &[u8]) -> Option<Timestamp> {
    Some(Timestamp::from_micros(i64::from_be_bytes(take(rest)?)))
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, left) = rest.split_first_chunk()?;
    *rest = left;
    Some(*taken)
}

fn text<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let [length] = take(rest)?;
    let (text, left) = rest.split_at_checked(usize::from(length))?;
    *rest = left;
    std::str::from_utf8(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::{Lifetime, Login};

    fn record(user: &str, client: &str, json: &str) -> Record {
        let data = Data::from_json(json).unwrap();
        let login = Login { client: Client::new(client), remembered: json.len() > 2, data };
        Record::new(
            UserId::new(user).unwrap(),
            Timestamp::from_secs(1_800_000_000),
            &Lifetime::default(),
            login,
        )
        .1
    }

    #[test]
    fn a_record_comes_back_as_it_went_in() {
        let (long_user, long_client) = ("u".repeat(128), "c".repeat(200));
        for (user, client, json) in [
            ("1", "", "{}"),
            ("{a}", "curl/8.5.0", r#"{"a":"é"}"#),
            (&*long_user, &*long_client, "not json at all"),
        ] {
            let fresh = record(user, client, json);
            let renewed = fresh.renewed(Verifier::from_bytes([7; 32]), fresh.created_at(), fresh.ends_at());
            for record in [fresh, renewed] {
                let back = unpack(record.id(), &pack(&record)).unwrap();
                assert_eq!(back.into_parts(), record.into_parts());
            }
        }
        assert_eq!(pack(&record("12345", "curl/8.5.0", "{}")).len(), 87);
    }

    #[test]
    fn what_cannot_be_read_is_an_error_and_never_nothing() {
        let whole = pack(&record("1", "curl/8.5.0", "{}"));
        let id = record("1", "", "{}").id();
        for end in 0..whole.len() {
            assert!(unpack(id, &whole[..end]).is_err(), "{end} bytes of it");
        }
        let newer = [&[2], &whole[1..]].concat();
        assert!(unpack(id, &newer).unwrap_err().to_string().contains("newer exeunt"));
        let not_text = [&whole[..], &[0xff]].concat();
        assert!(unpack(id, &not_text).unwrap_err().to_string().contains("damaged"));
    }
}
