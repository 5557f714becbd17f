-- Whose sessions are still to be ended, where they live in another store than the accounts: written in the transaction
-- that changes the account, removed once that store has said that they are over.
CREATE TABLE endings (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    user   TEXT    NOT NULL,
    reason TEXT    NOT NULL,
    at     INTEGER NOT NULL
) STRICT;
