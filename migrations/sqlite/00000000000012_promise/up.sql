-- What the portal knows of its own memory: rules 15 to 20 of the protocol (docs/ARCHITECTURE.md). One row.
CREATE TABLE portal (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    incarnation TEXT NOT NULL,
    -- Grows with every commit that changes who may run what.
    revision INTEGER NOT NULL CHECK (revision > 0),
    recovery_since TEXT,
    recovery_why TEXT NOT NULL DEFAULT '',
    -- Which database this was when it was last looked at: another means that this one was restored or promoted.
    database_mark TEXT NOT NULL DEFAULT '',
    -- Seconds that portals have watched go by: what a jump of the clock adds is not among them.
    watched_s INTEGER NOT NULL DEFAULT 0,
    watched_at TEXT,
    -- By how much the clock jumped, until it is back or staff say that it is right.
    clock_jump_s INTEGER,
    clock_jump_at TEXT
) STRICT;
CREATE TABLE incarnations (
    id TEXT PRIMARY KEY NOT NULL,
    began_revision INTEGER NOT NULL UNIQUE,
    began_at TEXT NOT NULL,
    why TEXT NOT NULL
) STRICT;
INSERT INTO portal (id, incarnation, revision) VALUES (1, lower(hex(randomblob(16))), 1);
INSERT INTO incarnations (id, began_revision, began_at, why)
    SELECT incarnation, 1, strftime('%Y-%m-%dT%H:%M:%S.000000Z', 'now'), 'The first.' FROM portal;

-- A host's agent and its ledger.
ALTER TABLE hosts ADD COLUMN protocol INTEGER NOT NULL DEFAULT 1;
ALTER TABLE hosts ADD COLUMN ledger_id TEXT;
ALTER TABLE hosts ADD COLUMN ledger_serial INTEGER;
ALTER TABLE hosts ADD COLUMN ledger_machine TEXT;
ALTER TABLE hosts ADD COLUMN ledger_place TEXT;
-- The ledger is at another place since: it gets work once the former one has been silent long enough.
ALTER TABLE hosts ADD COLUMN ledger_moved_at TEXT;
-- Why its ledger is not trusted; empty: it is.
ALTER TABLE hosts ADD COLUMN ledger_fault TEXT NOT NULL DEFAULT '';
ALTER TABLE hosts ADD COLUMN ledger_fault_at TEXT;
-- The incarnation it last reported in, and the one in which two staff said that it is off.
ALTER TABLE hosts ADD COLUMN reported_in TEXT;
ALTER TABLE hosts ADD COLUMN waived_in TEXT;
-- JSON: Linodes of which its last report contradicted the portal.
ALTER TABLE hosts ADD COLUMN contrary TEXT NOT NULL DEFAULT '[]';
-- JSON: [linode, generation, sealed] of the disks that it has of Linodes it does not own.
ALTER TABLE hosts ADD COLUMN sealed_here TEXT NOT NULL DEFAULT '[]';

-- Linodes of which hosts and portal remember different things: no job of theirs is given out.
CREATE TABLE holds (
    linode_id INTEGER PRIMARY KEY REFERENCES linodes (id),
    since TEXT NOT NULL,
    reason TEXT NOT NULL
) STRICT;
CREATE TABLE hold_words (
    linode_id INTEGER NOT NULL REFERENCES holds (linode_id) ON DELETE CASCADE,
    host_id INTEGER NOT NULL REFERENCES hosts (id),
    granted INTEGER NOT NULL,
    sealed INTEGER NOT NULL,
    generation INTEGER,
    running INTEGER,
    at TEXT NOT NULL,
    PRIMARY KEY (linode_id, host_id)
) STRICT;
CREATE INDEX hold_words_host ON hold_words (host_id);

-- What owners showed before old disks may go.
CREATE TABLE proofs (
    linode_id INTEGER PRIMARY KEY REFERENCES linodes (id),
    host_id INTEGER NOT NULL REFERENCES hosts (id),
    epoch INTEGER NOT NULL,
    running INTEGER NOT NULL,
    at TEXT NOT NULL,
    watched_s INTEGER NOT NULL
) STRICT;

-- Acts that take two staff: one asks, with evidence, another one decides.
CREATE TABLE joint_acts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL CHECK (kind IN ('takeover', 'waive', 'trust_ledger')),
    host_id INTEGER NOT NULL REFERENCES hosts (id),
    evidence TEXT NOT NULL CHECK (length(evidence) BETWEEN 1 AND 2000),
    state TEXT NOT NULL CHECK (state IN ('asked', 'done', 'withdrawn')),
    asked_by INTEGER NOT NULL REFERENCES users (id),
    asked_at TEXT NOT NULL,
    decided_by INTEGER REFERENCES users (id),
    decided_at TEXT,
    CHECK (state <> 'done' OR (decided_by IS NOT NULL AND decided_by <> asked_by))
) STRICT;
CREATE UNIQUE INDEX joint_acts_one_asked ON joint_acts (host_id, kind) WHERE state = 'asked';
CREATE INDEX joint_acts_host ON joint_acts (host_id, id);

-- Attempts identify leases; these two say what went wrong: the step failed, or it was lost before it said anything.
ALTER TABLE jobs ADD COLUMN failures INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN losses INTEGER NOT NULL DEFAULT 0;
UPDATE jobs SET failures = attempt WHERE state IN ('pending', 'leased') AND attempt > 1;

-- The job whose word its present step waits for.
ALTER TABLE migrations ADD COLUMN step_job_id INTEGER;
UPDATE migrations SET step_job_id = (SELECT max(j.id) FROM jobs j WHERE j.migration_id = migrations.id
    AND j.kind NOT IN ('close_transfer', 'release', 'purge')) WHERE step IS NOT NULL;
-- The portal's watched seconds at the end of the way-back window; both this and the clock must have come.
ALTER TABLE migrations ADD COLUMN way_back_watched_s INTEGER;
-- When the old disks at its source were deleted.
ALTER TABLE migrations ADD COLUMN purged_at TEXT;
UPDATE migrations SET purged_at = closed_at WHERE state IN ('confirmed', 'returned');
-- Whether the copy was read back past the cache, where the agent says.
ALTER TABLE migrations ADD COLUMN uncached INTEGER;

-- What is past its time is found by these (src/store/retention.rs).
CREATE INDEX jobs_ended ON jobs (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX migration_events_at ON migration_events (at);
CREATE INDEX digests_at ON digests (at);
CREATE INDEX outbox_said ON outbox (sent_at) WHERE state = 'sent' AND text_body <> '';
CREATE INDEX outbox_created ON outbox (created_at);
CREATE INDEX password_resets_expiry ON password_resets (expires_at);
CREATE INDEX enrolment_tokens_expiry ON enrolment_tokens (expires_at);
CREATE INDEX proofs_at ON proofs (at);
