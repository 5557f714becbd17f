-- Tries at accounts and from addresses that count against whoever tries next. `hash`: of a name, whoever has it, or of an
-- address. `level`: failures, in millionths.
CREATE TABLE throttle (
    hash     BLOB    PRIMARY KEY,
    kind     INTEGER NOT NULL,
    level    INTEGER NOT NULL,
    tried_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX throttle_by_level ON throttle (level, tried_at);

-- Clients that an account was used from before; `verifier` is the hash of what the browser has.
CREATE TABLE client (
    account  INTEGER NOT NULL,
    verifier BLOB    NOT NULL,
    seen_at  INTEGER NOT NULL,
    PRIMARY KEY (account, verifier)
) STRICT, WITHOUT ROWID;
