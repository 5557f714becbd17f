-- Ids rise with time, so that a login appends. What a touch moves stands in no index, and a page keeps room for it.
CREATE TABLE exeunt_sessions (
    id BIGINT PRIMARY KEY,
    verifier BYTEA NOT NULL,
    previous BYTEA,
    user_id TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    authenticated_at BIGINT NOT NULL,
    seen_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    ends_at BIGINT NOT NULL,
    remembered BOOLEAN NOT NULL,
    revision BIGINT NOT NULL,
    client TEXT NOT NULL,
    data TEXT NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX exeunt_sessions_user ON exeunt_sessions (user_id);

-- Inserts a session, ends those of its user unseen longest beyond the `others` that are kept beside it, and names these;
-- NULL if the id is taken. Of one user one at a time: each then sees, and counts, what the other one made.
CREATE FUNCTION exeunt_create(
    new_id BIGINT, new_verifier BYTEA, new_previous BYTEA, new_user TEXT, new_created_at BIGINT,
    new_authenticated_at BIGINT, new_seen_at BIGINT, new_expires_at BIGINT, new_ends_at BIGINT, new_remembered BOOLEAN,
    new_revision BIGINT, new_client TEXT, new_data TEXT, others BIGINT
) RETURNS BIGINT[] LANGUAGE plpgsql AS $create$
DECLARE
    surplus BIGINT[];
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(new_user, 'exeunt_sessions'::regclass::oid::bigint));
    INSERT INTO exeunt_sessions VALUES (
        new_id, new_verifier, new_previous, new_user, new_created_at, new_authenticated_at, new_seen_at, new_expires_at,
        new_ends_at, new_remembered, new_revision, new_client, new_data
    ) ON CONFLICT (id) DO NOTHING;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    WITH gone AS (
        DELETE FROM exeunt_sessions WHERE id IN (
            SELECT id FROM exeunt_sessions
            WHERE user_id = new_user AND id <> new_id AND expires_at > new_created_at
            ORDER BY seen_at DESC, id DESC OFFSET others
        ) RETURNING id
    )
    SELECT coalesce(array_agg(id), '{}') INTO surplus FROM gone;
    RETURN surplus;
END $create$;

-- Ends every session of a user but `spared` (-1 spares none), and names them. It waits for the logins of the user that
-- are under way and holds off those to come until its transaction ends: in one statement with a changed password, no
-- session that the old one opened is left.
CREATE FUNCTION exeunt_destroy_all(of_user TEXT, spared BIGINT) RETURNS SETOF BIGINT LANGUAGE plpgsql AS $destroy_all$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(of_user, 'exeunt_sessions'::regclass::oid::bigint));
    RETURN QUERY DELETE FROM exeunt_sessions WHERE user_id = of_user AND id <> spared RETURNING id;
END $destroy_all$;
