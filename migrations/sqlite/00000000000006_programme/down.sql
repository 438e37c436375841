DROP INDEX audit_at;
DROP INDEX audit_action;
DROP INDEX audit_actor;
DROP INDEX outbox_recipient;
DROP INDEX users_disabled;
DROP INDEX users_role;
DROP INDEX migrations_started;
DROP INDEX migrations_kind;
PRAGMA defer_foreign_keys = ON;
CREATE TABLE registrations_before AS SELECT * FROM registrations;
DROP TABLE registrations;
CREATE TABLE registrations (
    id INTEGER PRIMARY KEY,
    linode_id INTEGER NOT NULL REFERENCES linodes (id),
    account_id INTEGER NOT NULL REFERENCES accounts (id),
    requested_by INTEGER NOT NULL REFERENCES users (id),
    state TEXT NOT NULL CHECK (state IN ('requested', 'approved', 'declined', 'withdrawn')),
    reason TEXT NOT NULL DEFAULT '',
    requested_at TEXT NOT NULL,
    decided_at TEXT,
    decided_by INTEGER REFERENCES users (id)
) STRICT;
-- The older program has no word for these: both have ended, and neither is live.
INSERT INTO registrations (id, linode_id, account_id, requested_by, state, reason, requested_at, decided_at, decided_by)
SELECT id, linode_id, account_id, requested_by,
    CASE state WHEN 'graduated' THEN 'withdrawn' WHEN 'closed' THEN 'declined' ELSE state END,
    reason, requested_at, decided_at, decided_by
FROM registrations_before;
DROP TABLE registrations_before;
CREATE UNIQUE INDEX registrations_one_live ON registrations (linode_id) WHERE state IN ('requested', 'approved');
CREATE INDEX registrations_state ON registrations (state, requested_at, id);
CREATE INDEX registrations_account ON registrations (account_id, id);
DROP TABLE programme_texts;
ALTER TABLE programme DROP COLUMN ended_at;
ALTER TABLE programme DROP COLUMN expected_end_at;
ALTER TABLE programme DROP COLUMN opens_at;
