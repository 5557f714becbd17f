//! Stands in for the SQLite database until it lands.
#![expect(missing_debug_implementations, reason = "goes away")]
use exeunt::{SessionId, UserId};
pub use rusqlite;
use rusqlite::Connection;
use std::path::Path;
use std::sync::{Arc, Mutex};
#[derive(Clone, Debug)]
pub struct Database(Arc<Mutex<Connection>>, std::path::PathBuf);
#[derive(Debug, thiserror::Error)]
#[error("the database did not answer: {0}")]
pub struct DatabaseError(#[from] rusqlite::Error);
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    #[error("a server owns it")]
    Locked {},
    #[error(transparent)]
    Sql(#[from] rusqlite::Error),
}
pub struct Tx<'a>(rusqlite::Transaction<'a>);
impl std::ops::Deref for Tx<'_> {
    type Target = Connection;
    fn deref(&self) -> &Connection {
        &self.0
    }
}
impl Database {
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let path = path.as_ref();
        Ok(Self(Arc::new(Mutex::new(Connection::open(path)?)), path.to_owned()))
    }
    pub fn migrate(&self, _: &str, steps: &[&str]) -> Result<(), OpenError> {
        let c = self.0.lock().unwrap_or_else(|e| e.into_inner());
        for step in steps {
            c.execute_batch(step)?;
        }
        Ok(())
    }
    pub async fn write<T, E>(&self, f: impl FnOnce(&Tx<'_>) -> Result<T, E> + Send + 'static) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DatabaseError> + Send + 'static,
    {
        let mut c = self.0.lock().unwrap_or_else(|e| e.into_inner());
        let tx = Tx(c.transaction().map_err(DatabaseError)?);
        let done = f(&tx)?;
        tx.0.commit().map_err(DatabaseError)?;
        Ok(done)
    }
    pub fn read<T, E: From<DatabaseError>>(
        &self,
        f: impl FnOnce(&Connection) -> Result<T, E>,
    ) -> Result<T, E> {
        f(&self.0.lock().unwrap_or_else(|e| e.into_inner()))
    }
    pub fn path(&self) -> &Path {
        &self.1
    }
    pub fn integrity(&self) -> Result<Vec<String>, DatabaseError> {
        Ok(Vec::new())
    }
}
pub fn destroy_all_in(
    _: &Tx<'_>,
    _: &UserId,
    _: Option<&SessionId>,
) -> Result<Vec<SessionId>, DatabaseError> {
    Ok(Vec::new())
}
