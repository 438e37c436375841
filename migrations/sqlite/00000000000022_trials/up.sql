-- Clones of a move's copies that were booted beside their Linode, to see whether they come up.
CREATE TABLE trials (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    migration_id INTEGER NOT NULL REFERENCES migrations (id),
    asked_at TEXT NOT NULL,
    asked_by INTEGER REFERENCES users (id),
    -- Not kept as long as the trial.
    job_id INTEGER NOT NULL,
    -- Where it is, or was.
    host_id INTEGER NOT NULL REFERENCES hosts (id),
    state TEXT NOT NULL CHECK (state IN ('asked', 'running', 'came_up', 'stopped', 'silent', 'not_tried', 'broken_off')),
    -- What came of it: for its member, and for staff.
    outcome TEXT NOT NULL DEFAULT '',
    detail TEXT NOT NULL DEFAULT '',
    -- The last of its console.
    console TEXT NOT NULL DEFAULT '',
    began_at TEXT,
    ended_at TEXT
) STRICT;
CREATE INDEX trials_migration ON trials (migration_id, id);
CREATE INDEX trials_job ON trials (job_id);
CREATE INDEX trials_ended ON trials (ended_at);
CREATE INDEX trials_state ON trials (state, id);
-- One at a time, of a move and on a host.
CREATE UNIQUE INDEX trials_open ON trials (migration_id) WHERE state IN ('asked', 'running');
CREATE UNIQUE INDEX trials_open_host ON trials (host_id) WHERE state IN ('asked', 'running');
