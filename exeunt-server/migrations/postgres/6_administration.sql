-- Whether there is another administrator who may log in is asked before one of them goes.
CREATE INDEX exeunt_administrators ON exeunt_accounts (id) WHERE admin AND NOT disabled;

-- Changes or removes an account, and ends its sessions where they are in this database, or else notes that they are to
-- end. What is NULL stays. No row: there is no such account. `refused`: it would leave nobody who may administer.
CREATE FUNCTION exeunt_edit_account(
    wanted BIGINT, new_admin BOOLEAN, new_disabled BOOLEAN, new_password TEXT, removed BOOLEAN, even_the_last BOOLEAN,
    elsewhere BOOLEAN, why TEXT, now BIGINT
) RETURNS TABLE (
    account exeunt_accounts, was_admin BOOLEAN, was_disabled BOOLEAN, refused BOOLEAN, ended BIGINT[], note BIGINT
) LANGUAGE plpgsql AS $edit$
DECLARE
    before exeunt_accounts;
    ends BOOLEAN;
BEGIN
    -- All who may administer, in one order: who waited here sees what the other one did, and nobody waits for each other.
    PERFORM 1 FROM exeunt_accounts AS one WHERE one.admin AND NOT one.disabled ORDER BY one.id FOR UPDATE;
    SELECT one.* INTO before FROM exeunt_accounts AS one WHERE one.id = wanted FOR UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    account := before;
    was_admin := before.admin;
    was_disabled := before.disabled;
    refused := NOT even_the_last AND before.admin AND NOT before.disabled
        AND (removed OR new_admin IS FALSE OR new_disabled IS TRUE)
        AND NOT EXISTS (SELECT 1 FROM exeunt_accounts AS one WHERE one.admin AND NOT one.disabled AND one.id <> wanted);
    IF refused THEN
        RETURN NEXT;
        RETURN;
    END IF;
    ends := removed OR new_disabled IS TRUE OR new_password IS NOT NULL OR new_admin IS DISTINCT FROM before.admin
        AND new_admin IS NOT NULL;
    IF removed THEN
        DELETE FROM exeunt_accounts AS one WHERE one.id = wanted;
    ELSE
        UPDATE exeunt_accounts AS one SET admin = COALESCE(new_admin, one.admin),
            disabled = COALESCE(new_disabled, one.disabled), password = COALESCE(new_password, one.password),
            stamp = one.stamp + ends::INT
            WHERE one.id = wanted RETURNING one.* INTO account;
    END IF;
    IF ends AND elsewhere THEN
        INSERT INTO exeunt_endings (user_id, reason, at) VALUES (wanted::TEXT, why, now) RETURNING id INTO note;
    ELSIF ends THEN
        ended := ARRAY(SELECT exeunt_destroy_all(wanted::TEXT, -1));
    END IF;
    RETURN NEXT;
END $edit$;
