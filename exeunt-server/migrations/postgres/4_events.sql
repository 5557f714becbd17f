-- What happened, for as long as the configuration says. Rows are appended, and the oldest are purged; none is changed.
CREATE TABLE exeunt_events (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at BIGINT NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    user_id TEXT COLLATE "C",
    session_id BIGINT,
    name TEXT,
    reason TEXT,
    by_kind TEXT,
    by_user TEXT,
    by_name TEXT,
    address TEXT,
    client TEXT,
    request TEXT,
    lost BIGINT
);

CREATE INDEX exeunt_events_by_user ON exeunt_events (user_id, id) WHERE user_id IS NOT NULL;
CREATE INDEX exeunt_events_by_session ON exeunt_events (session_id) WHERE session_id IS NOT NULL;
CREATE INDEX exeunt_events_by_time ON exeunt_events (at);
-- The use of a dead token is told once a session, by whichever node.
CREATE UNIQUE INDEX exeunt_events_dead_tokens ON exeunt_events (session_id) WHERE kind = 'dead_token';

CREATE FUNCTION exeunt_events_are_never_changed() RETURNS TRIGGER LANGUAGE plpgsql AS $never$
BEGIN
    RAISE EXCEPTION 'what happened is never changed';
END $never$;

CREATE TRIGGER exeunt_events_are_never_changed BEFORE UPDATE ON exeunt_events
    FOR EACH ROW EXECUTE FUNCTION exeunt_events_are_never_changed();

-- How far each run of a server has come: what it writes again, not knowing whether it was written, is passed over.
CREATE TABLE exeunt_event_writers (
    writer BIGINT PRIMARY KEY,
    number BIGINT NOT NULL,
    at BIGINT NOT NULL
);

-- Appends what this writer has not appended yet. One writer at a time, until its transaction ends: so the numbers rise in
-- the order of the commits, and who has read up to one of them has missed none before it.
CREATE FUNCTION exeunt_append_events(by_writer BIGINT, last BIGINT, now BIGINT, given TEXT)
RETURNS VOID LANGUAGE plpgsql AS $append$
DECLARE
    done BIGINT;
    e RECORD;
BEGIN
    LOCK TABLE exeunt_event_writers IN SHARE ROW EXCLUSIVE MODE;
    SELECT number INTO done FROM exeunt_event_writers WHERE writer = by_writer;
    -- One after the other: an event may say of a session what a later one of the same batch leaves out.
    FOR e IN SELECT * FROM jsonb_to_recordset(given::JSONB) AS event(number BIGINT, at BIGINT, kind TEXT, user_id TEXT,
            session_id BIGINT, name TEXT, reason TEXT, by_kind TEXT, by_user TEXT, by_name TEXT, address TEXT, client TEXT,
            request TEXT, lost BIGINT)
        WHERE done IS NULL OR event.number > done ORDER BY event.number
    LOOP
        INSERT INTO exeunt_events (at, kind, user_id, session_id, name, reason, by_kind, by_user, by_name, address, client,
                request, lost)
            SELECT e.at, e.kind, whose.user_id, e.session_id,
                   COALESCE(e.name, (
                       SELECT name FROM exeunt_accounts
                       WHERE id = CASE WHEN whose.user_id ~ '^[0-9]{1,18}$' THEN whose.user_id::BIGINT END
                   ), whose.name),
                   e.reason, e.by_kind, e.by_user, e.by_name, e.address, e.client, e.request, e.lost
            FROM (
                SELECT COALESCE(e.user_id, before.user_id) AS user_id, before.name FROM (SELECT) AS always LEFT JOIN (
                    SELECT known.user_id, known.name FROM exeunt_events AS known
                    WHERE known.session_id = e.session_id AND known.user_id IS NOT NULL ORDER BY known.id LIMIT 1
                ) AS before ON TRUE
            ) AS whose;
    END LOOP;
    INSERT INTO exeunt_event_writers AS w (writer, number, at) VALUES (by_writer, last, now)
        ON CONFLICT (writer) DO UPDATE SET number = GREATEST(w.number, excluded.number), at = excluded.at;
END $append$;

-- Of tokens that were refused, notes those whose session is known to have ended, each session once.
CREATE FUNCTION exeunt_append_dead_tokens(given TEXT)
RETURNS TABLE (dead BIGINT, of_user TEXT, of_name TEXT) LANGUAGE plpgsql AS $dead$
BEGIN
    -- Looked up without a lock, so that guesses hold up nobody.
    IF NOT EXISTS (
        SELECT 1 FROM jsonb_to_recordset(given::JSONB) AS e(session_id BIGINT)
            JOIN exeunt_events AS ended
                ON ended.session_id = e.session_id AND ended.kind IN ('logout', 'session_ended')
            LEFT JOIN exeunt_events AS told ON told.session_id = e.session_id AND told.kind = 'dead_token'
        WHERE told.id IS NULL
    ) THEN
        RETURN;
    END IF;
    LOCK TABLE exeunt_event_writers IN SHARE ROW EXCLUSIVE MODE;
    RETURN QUERY INSERT INTO exeunt_events AS new (at, kind, user_id, session_id, name, reason, address, client, request)
        SELECT e.at, 'dead_token', ended.user_id, e.session_id, ended.name, ended.kind, e.address, e.client, e.request
        FROM jsonb_to_recordset(given::JSONB) AS e(number BIGINT, at BIGINT, session_id BIGINT, address TEXT,
                client TEXT, request TEXT)
            JOIN LATERAL (
                SELECT before.user_id, before.name, before.kind FROM exeunt_events AS before
                WHERE before.session_id = e.session_id AND before.kind IN ('logout', 'session_ended')
                ORDER BY before.id LIMIT 1
            ) AS ended ON TRUE
        ORDER BY e.number
        ON CONFLICT (session_id) WHERE kind = 'dead_token' DO NOTHING
        RETURNING new.session_id, new.user_id, new.name;
END $dead$;

-- Forgets the oldest events before an instant, at most so many; how many it looked at. None while another node does it.
CREATE FUNCTION exeunt_purge_events(before BIGINT, most BIGINT) RETURNS BIGINT LANGUAGE plpgsql AS $purge$
DECLARE
    purged BIGINT;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtextextended('exeunt_purge_events', 0)) THEN
        RETURN 0;
    END IF;
    DELETE FROM exeunt_events AS old WHERE old.id IN (
        SELECT oldest.id FROM exeunt_events AS oldest WHERE oldest.at < before ORDER BY oldest.at LIMIT most
    );
    GET DIAGNOSTICS purged = ROW_COUNT;
    DELETE FROM exeunt_event_writers AS w WHERE w.at < before;
    RETURN purged;
END $purge$;
