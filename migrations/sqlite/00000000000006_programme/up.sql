ALTER TABLE programme ADD COLUMN opens_at TEXT;
-- What members are told; nothing happens by itself then.
ALTER TABLE programme ADD COLUMN expected_end_at TEXT;
ALTER TABLE programme ADD COLUMN ended_at TEXT CHECK (state = 'ended' OR ended_at IS NULL);
-- What staff wrote for a section of the announcement, in Markdown; a section without a row has its default text.
CREATE TABLE programme_texts (
    section TEXT PRIMARY KEY NOT NULL,
    body TEXT NOT NULL CHECK (length(body) BETWEEN 1 AND 20000),
    changed_at TEXT NOT NULL,
    changed_by INTEGER REFERENCES users (id)
) STRICT;
-- Two more states: graduated (it runs on production) and closed (the beta ended before it moved). SQLite changes no
-- constraint in place; what refers to the rows finds them again before the transaction ends.
PRAGMA defer_foreign_keys = ON;
CREATE TABLE registrations_before AS SELECT * FROM registrations;
DROP TABLE registrations;
CREATE TABLE registrations (
    id INTEGER PRIMARY KEY,
    linode_id INTEGER NOT NULL REFERENCES linodes (id),
    account_id INTEGER NOT NULL REFERENCES accounts (id),
    requested_by INTEGER NOT NULL REFERENCES users (id),
    state TEXT NOT NULL CHECK (state IN ('requested', 'approved', 'declined', 'withdrawn', 'graduated', 'closed')),
    reason TEXT NOT NULL DEFAULT '',
    requested_at TEXT NOT NULL,
    decided_at TEXT,
    decided_by INTEGER REFERENCES users (id)
) STRICT;
INSERT INTO registrations (id, linode_id, account_id, requested_by, state, reason, requested_at, decided_at, decided_by)
SELECT id, linode_id, account_id, requested_by, state, reason, requested_at, decided_at, decided_by
FROM registrations_before;
DROP TABLE registrations_before;
CREATE UNIQUE INDEX registrations_one_live ON registrations (linode_id) WHERE state IN ('requested', 'approved');
CREATE INDEX registrations_state ON registrations (state, requested_at, id);
CREATE INDEX registrations_account ON registrations (account_id, id);
CREATE INDEX registrations_linode ON registrations (linode_id, id);
CREATE INDEX migrations_kind ON migrations (kind, state, id);
CREATE INDEX migrations_started ON migrations (started_at);
CREATE INDEX users_role ON users (role, email);
CREATE INDEX users_disabled ON users (disabled, email);
CREATE INDEX outbox_recipient ON outbox (recipient, id);
CREATE INDEX audit_actor ON audit_events (actor, id);
CREATE INDEX audit_action ON audit_events (action, id);
CREATE INDEX audit_at ON audit_events (at, id);
