-- Since when a sign-in takes a code besides the password; NULL: it does not.
ALTER TABLE users ADD COLUMN second_factor_at TIMESTAMPTZ;
-- When whoever has the session showed last who they are; NULL: not since this is kept.
ALTER TABLE sessions ADD COLUMN proved_at TIMESTAMPTZ;
CREATE TABLE second_factors (
    user_id BIGINT PRIMARY KEY REFERENCES users (id),
    -- What the codes are made from, sealed with the portal's secret.
    sealed TEXT NOT NULL,
    -- The half minute whose code was used last: no code of it or before is good again.
    used_step BIGINT NOT NULL
);
-- One use each; their hashes.
CREATE TABLE recovery_codes (
    user_id BIGINT NOT NULL REFERENCES users (id),
    hash TEXT NOT NULL,
    PRIMARY KEY (user_id, hash)
);
-- Whose password was right, and whose code is waited for.
CREATE TABLE half_sign_ins (
    hash TEXT PRIMARY KEY,
    user_id BIGINT NOT NULL REFERENCES users (id),
    expires_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX half_sign_ins_user ON half_sign_ins (user_id);
CREATE INDEX half_sign_ins_expiry ON half_sign_ins (expires_at);
