-- How long hosts that should speak were silent: a row per host and day (days since 1970, UTC) on which one was.
CREATE TABLE host_silence (
    day INTEGER NOT NULL,
    host_id INTEGER NOT NULL REFERENCES hosts (id),
    silent_s INTEGER NOT NULL CHECK (silent_s > 0),
    PRIMARY KEY (day, host_id)
) STRICT;
-- When it was first looked for silent hosts, and when last. One row, or none.
CREATE TABLE silence_looks (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    began_at TEXT NOT NULL,
    looked_at TEXT NOT NULL
) STRICT;
-- Figures over time are read by when something happened.
CREATE INDEX migration_events_failed ON migration_events (at) WHERE state = 'failed';
CREATE INDEX jobs_failed ON jobs (finished_at) WHERE state = 'failed';
CREATE INDEX bug_events_at ON bug_events (at);
-- From when on a mail says nothing that is still of use (a reminder, once its moment is there); none for most.
ALTER TABLE outbox ADD COLUMN stale_at TEXT;
