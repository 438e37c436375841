-- What a Linode's member wants to answer after a move, and what each answered when it was asked last.
CREATE TABLE checks (
    linode_id INTEGER NOT NULL REFERENCES linodes (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    address TEXT NOT NULL,
    port INTEGER NOT NULL CHECK (port BETWEEN 1 AND 65535),
    -- Of HTTP; empty and 0: a TCP port.
    path TEXT NOT NULL DEFAULT '',
    status INTEGER NOT NULL DEFAULT 0,
    ok INTEGER,
    said TEXT NOT NULL DEFAULT '',
    asked_at TEXT,
    PRIMARY KEY (linode_id, position)
) STRICT;
-- What follows if one does not answer after a move.
CREATE TABLE check_plans (
    linode_id INTEGER PRIMARY KEY NOT NULL REFERENCES linodes (id) ON DELETE CASCADE,
    goes_home INTEGER NOT NULL,
    limit_s INTEGER NOT NULL
) STRICT;
-- The same for one move, as it stood when the move began.
CREATE TABLE check_runs (
    migration_id INTEGER PRIMARY KEY NOT NULL REFERENCES migrations (id) ON DELETE CASCADE,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'asking', 'passed', 'failed', 'not_asked')),
    goes_home INTEGER NOT NULL,
    limit_s INTEGER NOT NULL,
    -- By then each must have answered.
    until TEXT,
    -- The way back began by itself.
    went_home INTEGER NOT NULL DEFAULT 0,
    -- It does, and is to run there, whatever became of it; until its member shuts it down.
    comes_up INTEGER NOT NULL DEFAULT 0,
    -- What kept it from being asked, or from going home.
    why TEXT NOT NULL DEFAULT '',
    console TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE TABLE check_answers (
    migration_id INTEGER NOT NULL REFERENCES migrations (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    address TEXT NOT NULL,
    port INTEGER NOT NULL,
    path TEXT NOT NULL,
    status INTEGER NOT NULL,
    home_ok INTEGER,
    home_said TEXT NOT NULL,
    -- After the move.
    ok INTEGER,
    said TEXT NOT NULL DEFAULT '',
    asked_at TEXT,
    PRIMARY KEY (migration_id, position)
) STRICT;
