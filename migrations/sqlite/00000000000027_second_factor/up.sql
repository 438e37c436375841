-- Since when a sign-in takes a code besides the password; NULL: it does not.
ALTER TABLE users ADD COLUMN second_factor_at TEXT;
-- When whoever has the session showed last who they are; NULL: not since this is kept.
ALTER TABLE sessions ADD COLUMN proved_at TEXT;
CREATE TABLE second_factors (
    user_id INTEGER PRIMARY KEY NOT NULL REFERENCES users (id),
    -- What the codes are made from, sealed with the portal's secret.
    sealed TEXT NOT NULL,
    -- The half minute whose code was used last: no code of it or before is good again.
    used_step INTEGER NOT NULL
) STRICT;
-- One use each; their hashes.
CREATE TABLE recovery_codes (
    user_id INTEGER NOT NULL REFERENCES users (id),
    hash TEXT NOT NULL,
    PRIMARY KEY (user_id, hash)
) STRICT;
-- Whose password was right, and whose code is waited for.
CREATE TABLE half_sign_ins (
    hash TEXT PRIMARY KEY NOT NULL,
    user_id INTEGER NOT NULL REFERENCES users (id),
    expires_at TEXT NOT NULL
) STRICT;
CREATE INDEX half_sign_ins_user ON half_sign_ins (user_id);
CREATE INDEX half_sign_ins_expiry ON half_sign_ins (expires_at);
