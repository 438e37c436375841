-- Names as a whole, folded as domain::search folds them, for finding by any part of three characters or more. What was
-- there before is filled in by `xenbeta schema up` (store::name_index::fill).
CREATE TABLE names (
    nr INTEGER PRIMARY KEY,
    of_what TEXT NOT NULL CHECK (of_what IN ('user', 'account', 'linode')),
    id INTEGER NOT NULL,
    text TEXT NOT NULL,
    UNIQUE (of_what, id)
) STRICT;
CREATE VIRTUAL TABLE name_parts USING fts5 (text, content = 'names', content_rowid = 'nr', tokenize = 'trigram case_sensitive 1');
CREATE TRIGGER names_added AFTER INSERT ON names BEGIN
    INSERT INTO name_parts (rowid, text) VALUES (new.nr, new.text);
END;
CREATE TRIGGER names_gone AFTER DELETE ON names BEGIN
    INSERT INTO name_parts (name_parts, rowid, text) VALUES ('delete', old.nr, old.text);
END;
CREATE TRIGGER names_changed AFTER UPDATE ON names BEGIN
    INSERT INTO name_parts (name_parts, rowid, text) VALUES ('delete', old.nr, old.text);
    INSERT INTO name_parts (rowid, text) VALUES (new.nr, new.text);
END;
-- Staff find bugs by the Linodes they are about.
CREATE INDEX bug_facts_linode ON bug_facts (value) WHERE kind = 'linode';
-- What staff hold back on hosts: jobs of a host, of a kind, or of a kind on a host.
CREATE TABLE job_pauses (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    host_id INTEGER REFERENCES hosts (id),
    kind TEXT,
    reason TEXT NOT NULL CHECK (reason <> ''),
    made_by INTEGER NOT NULL REFERENCES users (id),
    made_at TEXT NOT NULL,
    CHECK (host_id IS NOT NULL OR kind IS NOT NULL)
) STRICT;
CREATE UNIQUE INDEX job_pauses_of ON job_pauses (coalesce(host_id, 0), coalesce(kind, ''));
-- Batches of other things than registrations: what is numbered by item_id follows from the batch's kind.
CREATE TABLE batches_new (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL CHECK (kind IN ('approve', 'decline', 'configure', 'graduate', 'evacuate', 'retry')),
    state TEXT NOT NULL CHECK (state IN ('running', 'ended', 'stopped')),
    made_by INTEGER NOT NULL REFERENCES users (id),
    made_at TEXT NOT NULL,
    -- Where from, for the trail.
    address TEXT NOT NULL,
    reason TEXT NOT NULL,
    -- The form's own mark: sent twice, it is one.
    once TEXT NOT NULL,
    ended_at TEXT,
    -- Of an evacuation: the host that is emptied, and the time that staff chose.
    source_host_id INTEGER REFERENCES hosts (id),
    not_before TEXT
) STRICT;
INSERT INTO batches_new (id, kind, state, made_by, made_at, address, reason, once, ended_at)
SELECT id, kind, state, made_by, made_at, address, reason, once, ended_at FROM batches;
CREATE TABLE batch_items_new (
    batch_id INTEGER NOT NULL REFERENCES batches_new (id) ON DELETE CASCADE,
    item_id INTEGER NOT NULL,
    account_id INTEGER NOT NULL REFERENCES accounts (id),
    -- NULL: not yet.
    outcome TEXT CHECK (outcome IN ('done', 'before', 'refused')),
    why TEXT NOT NULL DEFAULT '',
    linode_id INTEGER NOT NULL REFERENCES linodes (id),
    -- NULL: the host proposed for it.
    destination_host_id INTEGER REFERENCES hosts (id),
    -- Its last move may be confirmed for that.
    closes INTEGER NOT NULL DEFAULT 0 CHECK (closes IN (0, 1)),
    PRIMARY KEY (batch_id, item_id)
) STRICT;
INSERT INTO batch_items_new (batch_id, item_id, account_id, outcome, why, linode_id, destination_host_id)
SELECT i.batch_id, i.registration_id, i.account_id, i.outcome, i.why, r.linode_id, b.destination_host_id
FROM batch_items i JOIN registrations r ON r.id = i.registration_id JOIN batches b ON b.id = i.batch_id;
CREATE TABLE batch_accounts_new (
    batch_id INTEGER NOT NULL REFERENCES batches_new (id) ON DELETE CASCADE,
    account_id INTEGER NOT NULL REFERENCES accounts (id),
    told_at TEXT,
    PRIMARY KEY (batch_id, account_id)
) STRICT;
INSERT INTO batch_accounts_new SELECT batch_id, account_id, told_at FROM batch_accounts;
DROP TABLE batch_accounts;
DROP TABLE batch_items;
DROP TABLE batches;
ALTER TABLE batches_new RENAME TO batches;
ALTER TABLE batch_items_new RENAME TO batch_items;
ALTER TABLE batch_accounts_new RENAME TO batch_accounts;
CREATE UNIQUE INDEX batches_once ON batches (made_by, once);
CREATE INDEX batches_ended ON batches (ended_at);
CREATE INDEX batches_open ON batches (id) WHERE state = 'running';
CREATE INDEX batch_items_open ON batch_items (batch_id, account_id, item_id) WHERE outcome IS NULL;
CREATE INDEX batch_items_account ON batch_items (batch_id, account_id);
CREATE INDEX batch_accounts_open ON batch_accounts (batch_id) WHERE told_at IS NULL;
