DELETE FROM batches WHERE kind IN ('graduate', 'evacuate', 'retry');
CREATE TABLE batches_old (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL CHECK (kind IN ('approve', 'decline', 'configure')),
    state TEXT NOT NULL CHECK (state IN ('running', 'ended', 'stopped')),
    made_by INTEGER NOT NULL REFERENCES users (id),
    made_at TEXT NOT NULL,
    address TEXT NOT NULL,
    reason TEXT NOT NULL,
    destination_host_id INTEGER REFERENCES hosts (id),
    once TEXT NOT NULL,
    ended_at TEXT
) STRICT;
INSERT INTO batches_old
SELECT id, kind, state, made_by, made_at, address, reason,
    (SELECT min(destination_host_id) FROM batch_items WHERE batch_id = batches.id), once, ended_at FROM batches;
CREATE TABLE batch_items_old (
    batch_id INTEGER NOT NULL REFERENCES batches_old (id) ON DELETE CASCADE,
    registration_id INTEGER NOT NULL REFERENCES registrations (id),
    account_id INTEGER NOT NULL REFERENCES accounts (id),
    outcome TEXT CHECK (outcome IN ('done', 'before', 'refused')),
    why TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (batch_id, registration_id)
) STRICT;
INSERT INTO batch_items_old SELECT batch_id, item_id, account_id, outcome, why FROM batch_items;
CREATE TABLE batch_accounts_old (
    batch_id INTEGER NOT NULL REFERENCES batches_old (id) ON DELETE CASCADE,
    account_id INTEGER NOT NULL REFERENCES accounts (id),
    told_at TEXT,
    PRIMARY KEY (batch_id, account_id)
) STRICT;
INSERT INTO batch_accounts_old SELECT batch_id, account_id, told_at FROM batch_accounts;
DROP TABLE batch_accounts;
DROP TABLE batch_items;
DROP TABLE batches;
ALTER TABLE batches_old RENAME TO batches;
ALTER TABLE batch_items_old RENAME TO batch_items;
ALTER TABLE batch_accounts_old RENAME TO batch_accounts;
CREATE UNIQUE INDEX batches_once ON batches (made_by, once);
CREATE INDEX batches_ended ON batches (ended_at);
CREATE INDEX batches_open ON batches (id) WHERE state = 'running';
CREATE INDEX batch_items_open ON batch_items (batch_id, account_id, registration_id) WHERE outcome IS NULL;
CREATE INDEX batch_items_account ON batch_items (batch_id, account_id);
CREATE INDEX batch_accounts_open ON batch_accounts (batch_id) WHERE told_at IS NULL;
DROP TABLE job_pauses;
DROP INDEX bug_facts_linode;
DROP TRIGGER names_changed;
DROP TRIGGER names_gone;
DROP TRIGGER names_added;
DROP TABLE name_parts;
DROP TABLE names;
