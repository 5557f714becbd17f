-- What happened, for as long as the configuration says. Rows are appended, and the oldest are purged; none is changed.
CREATE TABLE events (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    at      INTEGER NOT NULL,
    kind    TEXT    NOT NULL,
    user    TEXT,
    session INTEGER,
    name    TEXT,
    reason  TEXT,
    by_kind TEXT,
    by_user TEXT,
    by_name TEXT,
    address TEXT,
    client  TEXT,
    request TEXT,
    lost    INTEGER
) STRICT;

CREATE INDEX events_by_user ON events (user, id) WHERE user IS NOT NULL;
CREATE INDEX events_by_session ON events (session) WHERE session IS NOT NULL;
CREATE INDEX events_by_time ON events (at);
-- The use of a dead token is told once a session.
CREATE UNIQUE INDEX events_dead_tokens ON events (session) WHERE kind = 'dead_token';

CREATE TRIGGER events_are_never_changed BEFORE UPDATE ON events BEGIN
    SELECT RAISE(ABORT, 'what happened is never changed');
END;

-- How far each run of a server has come: what it writes again, not knowing whether it was written, is passed over.
CREATE TABLE event_writers (
    writer INTEGER PRIMARY KEY,
    number INTEGER NOT NULL,
    at     INTEGER NOT NULL
) STRICT;
