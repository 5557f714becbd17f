//! What the writer is given to do, and the transaction that it does it in.
//!
//! Must never let a closure of an application undo more than what it did itself, nor panic the writer.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};

use rusqlite::Connection;

use super::error::DatabaseError;
use crate::session::SessionId;

/// What a small session adds to a batch.
const SMALL: usize = 256;

/// A transaction that is shared with others; dereferences to the connection.
pub struct Tx {
    connection: Connection,
    pub(super) changed: RefCell<Vec<SessionId>>,
    pub(super) undone: RefCell<Option<DatabaseError>>,
    pub(super) number: Cell<i64>,
}

impl Tx {
    pub(super) fn new(connection: Connection) -> Self {
        Self { connection, changed: RefCell::default(), undone: RefCell::default(), number: Cell::default() }
    }

    /// Which commit this is going to be.
    pub(in super::super) fn number(&self) -> i64 {
        self.number.get()
    }

    /// Notes a session that this transaction changes or ends, for the near cache.
    pub(in super::super) fn announce(&self, id: SessionId) {
        self.changed.borrow_mut().push(id);
    }

    /// Gives up the whole batch: `error` may have left part of a step behind.
    pub(super) fn undo_all(&self, error: DatabaseError) {
        *self.undone.borrow_mut() = Some(error);
    }

    fn is_undone(&self) -> bool {
        self.undone.borrow().is_some()
    }
}

impl Deref for Tx {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl std::fmt::Debug for Tx {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tx").finish_non_exhaustive()
    }
}

/// Something to write, and somebody who waits for the answer.
pub(super) trait Job: Send {
    /// Roughly what it adds to a batch.
    fn bytes(&self) -> usize;
    fn run(&mut self, tx: &Tx);
    fn answer(self: Box<Self>, committed: Result<(), DatabaseError>);
}

/// A closure as a job.
pub(super) struct Ask<F, T, E, R> {
    work: Option<F>,
    savepoint: bool,
    bytes: usize,
    answer: Option<Result<T, E>>,
    reply: R,
}

impl<F, T, E, R> Ask<F, T, E, R>
where
    F: FnOnce(&Tx) -> Result<T, E>,
    R: FnOnce(Result<T, E>),
{
    /// If it fails or panics, what it did is undone, and nothing else.
    pub(super) fn in_savepoint(work: F, reply: R) -> Self {
        Self { work: Some(work), savepoint: true, bytes: SMALL, answer: None, reply }
    }

    /// If it fails, the whole batch is undone. `bytes` is what it carries beyond a small session.
    pub(super) fn bare(bytes: usize, work: F, reply: R) -> Self {
        Self { work: Some(work), savepoint: false, bytes: SMALL + bytes, answer: None, reply }
    }
}

impl<F, T, E, R> Job for Ask<F, T, E, R>
where
    F: FnOnce(&Tx) -> Result<T, E> + Send,
    T: Send,
    E: From<DatabaseError> + Send,
    R: FnOnce(Result<T, E>) + Send,
{
    fn bytes(&self) -> usize {
        self.bytes
    }

    fn run(&mut self, tx: &Tx) {
        let Some(work) = self.work.take() else { return };
        let result = if self.savepoint { in_savepoint(tx, work) } else { bare(tx, work) };
        self.answer = Some(result);
    }

    fn answer(self: Box<Self>, committed: Result<(), DatabaseError>) {
        let answer = match (self.answer, committed) {
            // What the closure itself refused stays its own answer: it changed nothing, committed or not.
            (Some(Err(error)), _) => Err(error),
            (Some(Ok(value)), Ok(())) => Ok(value),
            (_, Err(error)) => Err(error.into()),
            (None, Ok(())) => Err(DatabaseError::Closed.into()),
        };
        (self.reply)(answer);
    }
}

fn bare<T, E: From<DatabaseError>>(tx: &Tx, work: impl FnOnce(&Tx) -> Result<T, E>) -> Result<T, E> {
    let result = caught(tx, work);
    if result.is_err() && !tx.is_undone() {
        tx.undo_all(DatabaseError::Panicked);
    }
    result
}

fn in_savepoint<T, E: From<DatabaseError>>(tx: &Tx, work: impl FnOnce(&Tx) -> Result<T, E>) -> Result<T, E> {
    let begin = || tx.prepare_cached("SAVEPOINT exeunt_step")?.execute([]);
    begin().map_err(|error| E::from(error.into()))?;
    let announced = tx.changed.borrow().len();
    let result = caught(tx, work);
    if tx.is_autocommit() {
        tx.undo_all(DatabaseError::TransactionEnded);
        return result.and(Err(DatabaseError::TransactionEnded.into()));
    }
    let end = || {
        if result.is_err() {
            tx.prepare_cached("ROLLBACK TO exeunt_step")?.execute([])?;
            tx.changed.borrow_mut().truncate(announced);
        }
        tx.prepare_cached("RELEASE exeunt_step")?.execute([])
    };
    if let Err(error) = end() {
        let error = DatabaseError::from(error);
        tx.undo_all(error.clone());
        return result.and(Err(error.into()));
    }
    result
}

fn caught<T, E: From<DatabaseError>>(tx: &Tx, work: impl FnOnce(&Tx) -> Result<T, E>) -> Result<T, E> {
    let caught: Result<_, Box<dyn Any + Send>> = catch_unwind(AssertUnwindSafe(|| work(tx)));
    caught.unwrap_or_else(|_| Err(DatabaseError::Panicked.into()))
}
