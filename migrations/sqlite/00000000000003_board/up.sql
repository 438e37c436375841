-- Bugs: one thread each. `root_id` is the bug that is worked on: itself, or the one it is a duplicate of, which is never a
-- duplicate itself (app::bugs sees to it). `version` counts what staff changed.
CREATE TABLE bugs (
    id INTEGER PRIMARY KEY,
    title TEXT NOT NULL CHECK (title <> ''),
    happened TEXT NOT NULL,
    expected TEXT NOT NULL,
    reproduce TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('new', 'confirmed', 'in_progress', 'fixed', 'not_a_bug', 'duplicate')),
    severity TEXT NOT NULL CHECK (severity IN ('none', 'low', 'medium', 'high', 'critical')),
    component TEXT NOT NULL CHECK (component IN ('migration', 'kernel', 'disk', 'network', 'performance', 'manager', 'other')),
    duplicate_of INTEGER REFERENCES bugs (id),
    root_id INTEGER NOT NULL GENERATED ALWAYS AS (coalesce(duplicate_of, id)) STORED,
    opened_by INTEGER NOT NULL REFERENCES users (id),
    account_id INTEGER NOT NULL REFERENCES accounts (id),
    once TEXT NOT NULL,
    version INTEGER NOT NULL DEFAULT 1,
    opened_at TEXT NOT NULL,
    changed_at TEXT NOT NULL,
    UNIQUE (opened_by, once),
    CHECK ((state = 'duplicate') = (duplicate_of IS NOT NULL)),
    CHECK (duplicate_of <> id)
) STRICT;
CREATE INDEX bugs_state ON bugs (state, id);
CREATE INDEX bugs_component ON bugs (component, id);
CREATE INDEX bugs_severity ON bugs (severity, id);
CREATE INDEX bugs_root ON bugs (root_id, id);
CREATE INDEX bugs_account ON bugs (account_id, id);
CREATE INDEX bugs_opened ON bugs (account_id, opened_at);
-- What everybody in the beta reads.
CREATE TABLE bug_posts (
    id INTEGER PRIMARY KEY,
    bug_id INTEGER NOT NULL REFERENCES bugs (id),
    author_id INTEGER NOT NULL REFERENCES users (id),
    by_staff INTEGER NOT NULL,
    body TEXT NOT NULL,
    once TEXT NOT NULL,
    at TEXT NOT NULL,
    UNIQUE (author_id, once)
) STRICT;
CREATE INDEX bug_posts_bug ON bug_posts (bug_id, id);
CREATE INDEX bug_posts_author ON bug_posts (author_id, at);
-- Staff's own notes, in a table of their own: nothing that members read looks here.
CREATE TABLE bug_notes (
    id INTEGER PRIMARY KEY,
    bug_id INTEGER NOT NULL REFERENCES bugs (id),
    author_id INTEGER NOT NULL REFERENCES users (id),
    body TEXT NOT NULL,
    once TEXT NOT NULL,
    at TEXT NOT NULL,
    UNIQUE (author_id, once)
) STRICT;
CREATE INDEX bug_notes_bug ON bug_notes (bug_id, id);
CREATE TABLE bug_events (
    id INTEGER PRIMARY KEY,
    bug_id INTEGER NOT NULL REFERENCES bugs (id),
    author_id INTEGER NOT NULL REFERENCES users (id),
    what TEXT NOT NULL CHECK (what IN ('state', 'severity', 'component')),
    before TEXT NOT NULL,
    after TEXT NOT NULL,
    duplicate_of INTEGER REFERENCES bugs (id),
    at TEXT NOT NULL
) STRICT;
CREATE INDEX bug_events_bug ON bug_events (bug_id, id);
-- Whom it hits: its author, and who said "me too".
CREATE TABLE bug_hits (
    bug_id INTEGER NOT NULL REFERENCES bugs (id),
    user_id INTEGER NOT NULL REFERENCES users (id),
    at TEXT NOT NULL,
    PRIMARY KEY (bug_id, user_id)
) STRICT;
CREATE INDEX bug_hits_user ON bug_hits (user_id, bug_id);
-- What its author let the portal add about a Linode.
CREATE TABLE bug_facts (
    bug_id INTEGER NOT NULL REFERENCES bugs (id),
    kind TEXT NOT NULL CHECK (kind IN ('linode', 'plan', 'host', 'kernel', 'profile', 'migration', 'console')),
    value TEXT NOT NULL,
    PRIMARY KEY (bug_id, kind)
) STRICT;
CREATE TABLE bug_files (
    id INTEGER PRIMARY KEY,
    bug_id INTEGER NOT NULL REFERENCES bugs (id),
    post_id INTEGER REFERENCES bug_posts (id),
    author_id INTEGER NOT NULL REFERENCES users (id),
    account_id INTEGER REFERENCES accounts (id),
    by_staff INTEGER NOT NULL,
    name TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('text', 'png', 'jpeg')),
    size INTEGER NOT NULL CHECK (size BETWEEN 1 AND 1048576),
    content BLOB NOT NULL,
    at TEXT NOT NULL
) STRICT;
CREATE INDEX bug_files_bug ON bug_files (bug_id, id);
CREATE INDEX bug_files_account ON bug_files (account_id);
-- The migrations that a bug explains.
CREATE TABLE bug_migrations (
    bug_id INTEGER NOT NULL REFERENCES bugs (id),
    migration_id INTEGER NOT NULL REFERENCES migrations (id),
    linked_by INTEGER NOT NULL REFERENCES users (id),
    at TEXT NOT NULL,
    PRIMARY KEY (bug_id, migration_id)
) STRICT;
CREATE INDEX bug_migrations_migration ON bug_migrations (migration_id, bug_id);
-- The words of what everybody reads, as domain::search makes them; a row per text.
CREATE VIRTUAL TABLE bug_words USING fts5 (bug_id UNINDEXED, words, tokenize = 'unicode61 remove_diacritics 0');

CREATE TABLE faq_entries (
    id INTEGER PRIMARY KEY,
    slug TEXT NOT NULL UNIQUE,
    question TEXT NOT NULL CHECK (question <> ''),
    answer TEXT NOT NULL,
    position INTEGER NOT NULL,
    dated_at TEXT NOT NULL,
    retired_at TEXT,
    version INTEGER NOT NULL DEFAULT 1,
    changed_at TEXT NOT NULL
) STRICT;
CREATE INDEX faq_entries_order ON faq_entries (position, id);
CREATE VIRTUAL TABLE faq_words USING fts5 (words, tokenize = 'unicode61 remove_diacritics 0');
-- What members asked: open, then answered either by an entry or in private.
CREATE TABLE faq_questions (
    id INTEGER PRIMARY KEY,
    asked_by INTEGER NOT NULL REFERENCES users (id),
    account_id INTEGER NOT NULL REFERENCES accounts (id),
    question TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('open', 'published', 'private')),
    entry_id INTEGER REFERENCES faq_entries (id),
    answer TEXT,
    answered_by INTEGER REFERENCES users (id),
    answered_at TEXT,
    once TEXT NOT NULL,
    asked_at TEXT NOT NULL,
    UNIQUE (asked_by, once),
    CHECK ((state = 'published') = (entry_id IS NOT NULL)),
    CHECK ((state = 'private') = (answer IS NOT NULL)),
    CHECK ((state = 'open') = (answered_at IS NULL)),
    CHECK ((answered_at IS NULL) = (answered_by IS NULL))
) STRICT;
CREATE INDEX faq_questions_state ON faq_questions (state, id);
CREATE INDEX faq_questions_account ON faq_questions (account_id, asked_at);
CREATE INDEX faq_questions_asker ON faq_questions (asked_by, id);
