-- What stops, starts and last copies took, by their agents' clocks: forecasts stand on it.
CREATE TABLE timings (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    linode_id INTEGER NOT NULL REFERENCES linodes (id) ON DELETE CASCADE,
    plan_id INTEGER NOT NULL,
    part TEXT NOT NULL CHECK (part IN ('stop', 'last_copy', 'start')),
    -- Where; of a last copy, from where to where.
    host_id INTEGER NOT NULL,
    peer_id INTEGER,
    ms INTEGER NOT NULL CHECK (ms >= 0),
    -- Of a last copy: what it looked at (nothing where the host can tell what changed), and what it sent.
    disk_bytes INTEGER NOT NULL DEFAULT 0,
    sent_bytes INTEGER NOT NULL DEFAULT 0,
    at TEXT NOT NULL
) STRICT;
CREATE INDEX timings_linode ON timings (linode_id, part, id);
CREATE INDEX timings_plan ON timings (plan_id, part, id);
CREATE INDEX timings_pair ON timings (host_id, peer_id, id) WHERE part = 'last_copy';
CREATE INDEX timings_copies ON timings (id) WHERE part = 'last_copy';
CREATE INDEX timings_at ON timings (at);
-- The longest downtime that its member allows, in seconds.
ALTER TABLE migrations ADD COLUMN down_limit_s INTEGER;
-- What its guest changes a second, by its last pass, in bytes.
ALTER TABLE migrations ADD COLUMN changed_b_s INTEGER NOT NULL DEFAULT 0;
-- The downtime foretold when it was ordered to stop: expected, and at most, in milliseconds.
ALTER TABLE migrations ADD COLUMN foretold_ms INTEGER;
ALTER TABLE migrations ADD COLUMN foretold_most_ms INTEGER;
-- Linodes of an account with the same name here are never both stopped for their moves; empty: it stands alone.
ALTER TABLE linodes ADD COLUMN never_both TEXT NOT NULL DEFAULT '';
CREATE INDEX linodes_never_both ON linodes (account_id, never_both) WHERE never_both <> '';
-- What is copied on one host in quiet hours, at most, in MB/s.
ALTER TABLE move_times ADD COLUMN quiet_cap_mb_s INTEGER;
