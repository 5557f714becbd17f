-- Where an account's messages go. Not unique: people share addresses, and a refusal would tell whose are known.
ALTER TABLE accounts ADD COLUMN email TEXT;
ALTER TABLE accounts ADD COLUMN email_folded TEXT;
CREATE INDEX accounts_by_email ON accounts (email_folded) WHERE email_folded IS NOT NULL;

-- At most one for each account: a new link takes the place of the old one. Valid only while the account is enabled under
-- the same stamp, so that whatever moves the stamp voids it. `messages` were sent since `began`.
CREATE TABLE reset_links (
    account    INTEGER PRIMARY KEY,
    verifier   BLOB    NOT NULL UNIQUE,
    stamp      INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    began      INTEGER NOT NULL,
    messages   INTEGER NOT NULL
) STRICT;

CREATE TRIGGER reset_link_of_removed_account AFTER DELETE ON accounts BEGIN
    DELETE FROM reset_links WHERE account = old.id;
END;
