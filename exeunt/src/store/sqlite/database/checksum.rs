//! A checksum over the values of a row, the same in Rust and in SQL.
//!
//! Must never leave a value out, nor take the bytes of one for those of its neighbour. It notices damage, and keeps
//! nobody out: whoever can write to the file can make it.

use rusqlite::Connection;
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::ValueRef;
use sha2::{Digest as _, Sha256};

/// Teaches the connection `exeunt_checksum(value, ..)`.
pub(super) fn teach(connection: &Connection) -> Result<(), rusqlite::Error> {
    let flags =
        FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_DIRECTONLY;
    // -1: as many values as there are.
    connection.create_scalar_function("exeunt_checksum", -1, flags, |given: &Context<'_>| {
        Ok(checksum((0..given.len()).map(|at| given.get_raw(at))))
    })
}

/// The first 8 bytes of the SHA-256 of all values, each with its type and length.
pub(in super::super) fn checksum<'a>(values: impl Iterator<Item = ValueRef<'a>>) -> i64 {
    let mut hash = Sha256::new();
    for value in values {
        match value {
            ValueRef::Null => hash.update([0]),
            ValueRef::Integer(number) => {
                hash.update([1]);
                hash.update(number.to_le_bytes());
            }
            ValueRef::Real(number) => {
                hash.update([2]);
                hash.update(number.to_le_bytes());
            }
            ValueRef::Text(bytes) => add(&mut hash, 3, bytes),
            ValueRef::Blob(bytes) => add(&mut hash, 4, bytes),
        }
    }
    let hash: [u8; 32] = hash.finalize().into();
    i64::from_le_bytes(*hash.first_chunk().expect("32 bytes are more than 8"))
}

fn add(hash: &mut Sha256, kind: u8, bytes: &[u8]) {
    hash.update([kind]);
    hash.update(u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_le_bytes());
    hash.update(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sql_and_rust_agree_and_every_value_counts() {
        let connection = Connection::open_in_memory().unwrap();
        teach(&connection).unwrap();
        let ask = |values: &str| -> i64 {
            connection.query_row(&format!("SELECT exeunt_checksum({values})"), [], |row| row.get(0)).unwrap()
        };
        let values = [
            ValueRef::Integer(7),
            ValueRef::Null,
            ValueRef::Text(b"ab"),
            ValueRef::Blob(&[1, 2]),
            ValueRef::Real(0.5),
        ];
        let sum = checksum(values.into_iter());
        assert_eq!(ask("7, NULL, 'ab', x'0102', 0.5"), sum);
        for other in [
            "8, NULL, 'ab', x'0102', 0.5",
            "7, 0, 'ab', x'0102', 0.5",
            "7, NULL, x'6162', x'0102', 0.5",
            "7, NULL, 'a', x'620102', 0.5",
            "7, NULL, 'ab', x'0103', 0.5",
            "7, NULL, 'ab', x'0102', 0.25",
            "7, NULL, 'ab', x'0102'",
            "NULL, 7, 'ab', x'0102', 0.5",
        ] {
            assert_ne!(ask(other), sum, "{other}");
        }
    }
}
