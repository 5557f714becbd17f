-- AUTOINCREMENT: the number of a removed account is never given again, so what still names it means nobody.
CREATE TABLE accounts (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    name       TEXT    NOT NULL,
    folded     TEXT    NOT NULL UNIQUE,
    password   TEXT    NOT NULL,
    stamp      INTEGER NOT NULL DEFAULT 0,
    admin      INTEGER NOT NULL CHECK (admin IN (0, 1)),
    disabled   INTEGER NOT NULL DEFAULT 0 CHECK (disabled IN (0, 1)),
    created_at INTEGER NOT NULL
) STRICT;

-- At most one row: a new set-up link voids the old one.
CREATE TABLE setup_link (
    only       INTEGER PRIMARY KEY CHECK (only = 1),
    verifier   BLOB    NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;
