-- Staff hold all moves back at once: since when, who, and why. NULL: they go on.
ALTER TABLE portal ADD COLUMN moves_paused_at TEXT;
ALTER TABLE portal ADD COLUMN moves_paused_by TEXT NOT NULL DEFAULT '';
ALTER TABLE portal ADD COLUMN moves_paused_why TEXT NOT NULL DEFAULT '';
-- Many moves that staff let go one after the other, behind gates.
CREATE TABLE waves (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL CHECK (name <> ''),
    kind TEXT NOT NULL CHECK (kind IN ('beta', 'graduation', 'evacuation')),
    state TEXT NOT NULL CHECK (state IN ('draft', 'running', 'paused', 'stopped', 'ended')),
    made_by INTEGER NOT NULL REFERENCES users (id),
    made_at TEXT NOT NULL,
    -- The form's own mark: sent twice, it is one.
    once TEXT NOT NULL,
    -- In whose name it goes on, and from where: who started it, or let it go on, last.
    run_by INTEGER REFERENCES users (id),
    address TEXT NOT NULL,
    -- Of an evacuation: the host that is emptied, and why, for its members.
    source_host_id INTEGER REFERENCES hosts (id),
    reason TEXT NOT NULL,
    sequence TEXT NOT NULL CHECK (sequence IN ('asked', 'smallest', 'largest', 'in_turn')),
    -- So many go first, and must have run well for so long.
    canary INTEGER NOT NULL CHECK (canary >= 0),
    watch_s INTEGER NOT NULL CHECK (watch_s >= 0),
    -- Moves at work at once, in all and on a host, and what is given out and not over.
    at_once INTEGER NOT NULL CHECK (at_once > 0),
    per_host INTEGER NOT NULL CHECK (per_host > 0),
    out_most INTEGER NOT NULL CHECK (out_most > 0),
    -- Minutes of the day, in the zone of the quiet hours. NULL: at any time.
    window_begins INTEGER,
    window_ends INTEGER,
    -- The gates.
    least INTEGER NOT NULL,
    failed_percent INTEGER NOT NULL,
    slow_percent INTEGER NOT NULL,
    bugs_most INTEGER NOT NULL,
    unfair_most INTEGER NOT NULL,
    started_at TEXT,
    -- Gates count what ended since then.
    gate_from TEXT,
    -- Why it is paused.
    why TEXT NOT NULL DEFAULT '',
    paused_at TEXT,
    ended_at TEXT,
    CHECK ((window_begins IS NULL) = (window_ends IS NULL)),
    CHECK ((kind = 'evacuation') = (source_host_id IS NOT NULL))
) STRICT;
CREATE UNIQUE INDEX waves_once ON waves (made_by, once);
CREATE INDEX waves_state ON waves (state, id);
CREATE TABLE wave_items (
    wave_id INTEGER NOT NULL REFERENCES waves (id),
    linode_id INTEGER NOT NULL REFERENCES linodes (id),
    account_id INTEGER NOT NULL REFERENCES accounts (id),
    registration_id INTEGER REFERENCES registrations (id),
    -- From 1, in the order in which they go.
    place INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'given', 'skipped', 'refused')),
    -- The offer or the move that was made for it, or the one that stands in its place later.
    migration_id INTEGER REFERENCES migrations (id),
    -- Why it was refused, or is put off.
    why TEXT NOT NULL DEFAULT '',
    again_at TEXT,
    given_at TEXT,
    told_at TEXT,
    PRIMARY KEY (wave_id, linode_id),
    CHECK ((state = 'given') = (migration_id IS NOT NULL))
) STRICT;
CREATE UNIQUE INDEX wave_items_place ON wave_items (wave_id, place);
CREATE INDEX wave_items_state ON wave_items (wave_id, state, place);
CREATE UNIQUE INDEX wave_items_migration ON wave_items (migration_id);
CREATE INDEX wave_items_linode ON wave_items (linode_id, state);
CREATE INDEX wave_items_untold ON wave_items (wave_id, account_id) WHERE told_at IS NULL AND given_at IS NOT NULL;
-- A way back is found by the move that it takes back.
CREATE INDEX migrations_parent ON migrations (parent_id, id);
