-- Many registrations that staff decide at once, worked off in the background.
CREATE TABLE batches (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL CHECK (kind IN ('approve', 'decline', 'configure')),
    state TEXT NOT NULL CHECK (state IN ('running', 'ended', 'stopped')),
    made_by INTEGER NOT NULL REFERENCES users (id),
    made_at TEXT NOT NULL,
    -- Where from, for the trail.
    address TEXT NOT NULL,
    reason TEXT NOT NULL,
    -- NULL: the host proposed for each.
    destination_host_id INTEGER REFERENCES hosts (id),
    -- The form's own mark: sent twice, it is one.
    once TEXT NOT NULL,
    ended_at TEXT
) STRICT;
CREATE UNIQUE INDEX batches_once ON batches (made_by, once);
CREATE INDEX batches_ended ON batches (ended_at);
CREATE INDEX batches_open ON batches (id) WHERE state = 'running';
CREATE TABLE batch_items (
    batch_id INTEGER NOT NULL REFERENCES batches (id) ON DELETE CASCADE,
    registration_id INTEGER NOT NULL REFERENCES registrations (id),
    account_id INTEGER NOT NULL REFERENCES accounts (id),
    -- NULL: not yet.
    outcome TEXT CHECK (outcome IN ('done', 'before', 'refused')),
    why TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (batch_id, registration_id)
) STRICT;
CREATE INDEX batch_items_open ON batch_items (batch_id, account_id, registration_id) WHERE outcome IS NULL;
CREATE INDEX batch_items_account ON batch_items (batch_id, account_id);
-- Whose members are told of it, and when they were.
CREATE TABLE batch_accounts (
    batch_id INTEGER NOT NULL REFERENCES batches (id) ON DELETE CASCADE,
    account_id INTEGER NOT NULL REFERENCES accounts (id),
    told_at TEXT,
    PRIMARY KEY (batch_id, account_id)
) STRICT;
CREATE INDEX batch_accounts_open ON batch_accounts (batch_id) WHERE told_at IS NULL;
