-- What staff hide of a bug: its opening text, a reply, a file. Its text stays, for staff alone.
ALTER TABLE bugs ADD COLUMN hidden_at TEXT;
ALTER TABLE bugs ADD COLUMN hidden_by INTEGER REFERENCES users (id) CHECK ((hidden_by IS NULL) = (hidden_at IS NULL));
ALTER TABLE bugs ADD COLUMN hidden_reason TEXT NOT NULL DEFAULT '';
ALTER TABLE bug_posts ADD COLUMN hidden_at TEXT;
ALTER TABLE bug_posts ADD COLUMN hidden_by INTEGER REFERENCES users (id) CHECK ((hidden_by IS NULL) = (hidden_at IS NULL));
ALTER TABLE bug_posts ADD COLUMN hidden_reason TEXT NOT NULL DEFAULT '';
ALTER TABLE bug_files ADD COLUMN hidden_at TEXT;
ALTER TABLE bug_files ADD COLUMN hidden_by INTEGER REFERENCES users (id) CHECK ((hidden_by IS NULL) = (hidden_at IS NULL));
ALTER TABLE bug_files ADD COLUMN hidden_reason TEXT NOT NULL DEFAULT '';
-- What is taken out of the search leaves its index as well, rather than being marked as gone there.
INSERT INTO bug_words (bug_words, rank) VALUES ('secure-delete', 1);
INSERT INTO faq_words (faq_words, rank) VALUES ('secure-delete', 1);
-- Staff hear of new bugs in one mail for several; `at`: when the last one was written.
ALTER TABLE bugs ADD COLUMN told INTEGER NOT NULL DEFAULT 0;
UPDATE bugs SET told = 1;
CREATE INDEX bugs_untold ON bugs (id) WHERE NOT told;
CREATE TABLE bug_digests (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    at TEXT NOT NULL
) STRICT;
-- Readers hear of replies in one mail for several, in rounds of some readers each. `news_due`: when the next round may
-- begin, if there is one to do; `news_post`: the last reply that was told; `news_until`: the last that the round tells;
-- `news_reader`: the last reader it reached.
ALTER TABLE bugs ADD COLUMN news_due TEXT;
ALTER TABLE bugs ADD COLUMN news_at TEXT;
ALTER TABLE bugs ADD COLUMN news_post INTEGER NOT NULL DEFAULT 0;
ALTER TABLE bugs ADD COLUMN news_until INTEGER NOT NULL DEFAULT 0;
ALTER TABLE bugs ADD COLUMN news_reader INTEGER NOT NULL DEFAULT 0;
UPDATE bugs SET news_post = coalesce((SELECT max(id) FROM bug_posts WHERE bug_id = bugs.id), 0);
CREATE INDEX bugs_news ON bugs (news_due) WHERE news_due IS NOT NULL;
-- The bug that a mail tells of, so that it can be changed while it waits.
ALTER TABLE outbox ADD COLUMN bug_id INTEGER REFERENCES bugs (id);
CREATE INDEX outbox_bug ON outbox (bug_id, state) WHERE bug_id IS NOT NULL;
-- The words of names, folded as domain::search folds them, for finding by how they begin.
CREATE TABLE name_words (
    of_what TEXT NOT NULL CHECK (of_what IN ('user', 'account', 'linode')),
    id INTEGER NOT NULL,
    word TEXT NOT NULL CHECK (word <> ''),
    PRIMARY KEY (of_what, id, word)
) STRICT, WITHOUT ROWID;
CREATE INDEX name_words_word ON name_words (of_what, word, id);
-- Lists and clearing away that had no index.
CREATE INDEX registrations_requested ON registrations (requested_at, id);
CREATE INDEX api_tokens_revoked ON api_tokens (revoked_at) WHERE revoked_at IS NOT NULL;
CREATE INDEX api_tokens_expires ON api_tokens (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX migration_events_state ON migration_events (state, at);
