-- Where an account's messages go. Not unique: people share addresses, and a refusal would tell whose are known.
ALTER TABLE exeunt_accounts ADD COLUMN email TEXT;
ALTER TABLE exeunt_accounts ADD COLUMN email_folded TEXT COLLATE "C";
CREATE INDEX exeunt_accounts_by_email ON exeunt_accounts (email_folded) WHERE email_folded IS NOT NULL;

-- At most one for each account: a new link takes the place of the old one. Valid only while the account is enabled under
-- the same stamp, so that whatever moves the stamp voids it. `messages` were sent since `began`.
CREATE TABLE exeunt_reset_links (
    account BIGINT PRIMARY KEY REFERENCES exeunt_accounts (id) ON DELETE CASCADE,
    verifier BYTEA NOT NULL UNIQUE,
    stamp BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    began BIGINT NOT NULL,
    messages BIGINT NOT NULL
);

-- As the one without an address, which nodes of the release before still call.
CREATE FUNCTION exeunt_add_account(
    new_name TEXT, new_folded TEXT, new_password TEXT, new_admin BOOLEAN, now BIGINT, by_link BYTEA,
    new_email TEXT, new_email_folded TEXT
) RETURNS SETOF exeunt_accounts LANGUAGE plpgsql AS $add$
BEGIN
    LOCK TABLE exeunt_setup_link IN SHARE ROW EXCLUSIVE MODE;
    IF by_link IS NOT NULL AND (
        NOT EXISTS (SELECT 1 FROM exeunt_setup_link AS link WHERE link.verifier = by_link AND now < link.expires_at)
        OR EXISTS (SELECT 1 FROM exeunt_accounts)
    ) THEN
        RETURN;
    END IF;
    -- With the first account a set-up link is used up, or has lost its purpose.
    DELETE FROM exeunt_setup_link;
    RETURN QUERY INSERT INTO exeunt_accounts (name, folded, password, admin, created_at, email, email_folded)
        VALUES (new_name, new_folded, new_password, new_admin, now, new_email, new_email_folded)
        ON CONFLICT (folded) DO NOTHING RETURNING *;
END $add$;
