-- What a Linode's member wants to answer after a move, and what each answered when it was asked last.
CREATE TABLE checks (
    linode_id BIGINT NOT NULL REFERENCES linodes (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    address TEXT NOT NULL,
    port INTEGER NOT NULL CHECK (port BETWEEN 1 AND 65535),
    -- Of HTTP; empty and 0: a TCP port.
    path TEXT NOT NULL DEFAULT '',
    status INTEGER NOT NULL DEFAULT 0,
    ok BOOLEAN,
    said TEXT NOT NULL DEFAULT '',
    asked_at TIMESTAMPTZ,
    PRIMARY KEY (linode_id, position)
);
-- What follows if one does not answer after a move.
CREATE TABLE check_plans (
    linode_id BIGINT PRIMARY KEY NOT NULL REFERENCES linodes (id) ON DELETE CASCADE,
    goes_home BOOLEAN NOT NULL,
    limit_s INTEGER NOT NULL
);
-- The same for one move, as it stood when the move began.
CREATE TABLE check_runs (
    migration_id BIGINT PRIMARY KEY NOT NULL REFERENCES migrations (id) ON DELETE CASCADE,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'asking', 'passed', 'failed', 'not_asked')),
    goes_home BOOLEAN NOT NULL,
    limit_s INTEGER NOT NULL,
    -- By then each must have answered.
    until TIMESTAMPTZ,
    -- The way back began by itself.
    went_home BOOLEAN NOT NULL DEFAULT FALSE,
    -- It does, and is to run there, whatever became of it; until its member shuts it down.
    comes_up BOOLEAN NOT NULL DEFAULT FALSE,
    -- What kept it from being asked, or from going home.
    why TEXT NOT NULL DEFAULT '',
    console TEXT NOT NULL DEFAULT ''
);
CREATE TABLE check_answers (
    migration_id BIGINT NOT NULL REFERENCES migrations (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    address TEXT NOT NULL,
    port INTEGER NOT NULL,
    path TEXT NOT NULL,
    status INTEGER NOT NULL,
    home_ok BOOLEAN,
    home_said TEXT NOT NULL,
    -- After the move.
    ok BOOLEAN,
    said TEXT NOT NULL DEFAULT '',
    asked_at TIMESTAMPTZ,
    PRIMARY KEY (migration_id, position)
);
