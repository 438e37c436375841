-- What receipts are signed with. One is not retired.
CREATE TABLE receipt_keys (
    id TEXT PRIMARY KEY NOT NULL,
    public TEXT NOT NULL,
    secret TEXT NOT NULL,
    made_at TEXT NOT NULL,
    retired_at TEXT
) STRICT;
CREATE UNIQUE INDEX receipt_keys_current ON receipt_keys ((retired_at IS NULL)) WHERE retired_at IS NULL;
-- Receipts as they were signed: they never change, whatever is renamed.
CREATE TABLE receipts (
    migration_id INTEGER PRIMARY KEY NOT NULL REFERENCES migrations (id),
    body TEXT NOT NULL,
    made_at TEXT NOT NULL
) STRICT;
-- Whose receipt goes with the mail.
ALTER TABLE outbox ADD COLUMN receipt_of INTEGER;
