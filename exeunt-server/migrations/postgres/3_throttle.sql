-- Tries at accounts and from addresses that count against whoever tries next. hash: of a name, whoever has it, or of an
-- address. level: failures, in millionths.
CREATE TABLE exeunt_throttle (
    hash BYTEA PRIMARY KEY,
    kind SMALLINT NOT NULL,
    level BIGINT NOT NULL,
    tried_at BIGINT NOT NULL
);
CREATE INDEX exeunt_throttle_by_level ON exeunt_throttle (level, tried_at);

-- Clients that an account was used from before; verifier is the hash of what the browser has.
CREATE TABLE exeunt_client (
    account BIGINT NOT NULL,
    verifier BYTEA NOT NULL,
    seen_at BIGINT NOT NULL,
    PRIMARY KEY (account, verifier)
);
