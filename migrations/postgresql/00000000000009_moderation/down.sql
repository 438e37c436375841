-- The release before knows nothing of hiding, and would show what staff hid: it goes.
DELETE FROM bug_files
WHERE hidden_at IS NOT NULL
   OR post_id IN (SELECT id FROM bug_posts WHERE hidden_at IS NOT NULL)
   OR (post_id IS NULL AND bug_id IN (SELECT id FROM bugs WHERE hidden_at IS NOT NULL));
UPDATE bug_posts SET body = 'Hidden by staff.' WHERE hidden_at IS NOT NULL;
DELETE FROM bug_facts WHERE bug_id IN (SELECT id FROM bugs WHERE hidden_at IS NOT NULL);
UPDATE bugs SET title = 'Bug ' || id || ' (hidden by staff)', happened = 'Hidden by staff.', expected = '', reproduce = '' WHERE hidden_at IS NOT NULL;
DROP INDEX migration_events_state;
DROP INDEX api_tokens_expires;
DROP INDEX api_tokens_revoked;
DROP INDEX registrations_requested;
DROP TABLE name_words;
ALTER TABLE users ALTER COLUMN email TYPE TEXT COLLATE "default";
ALTER TABLE outbox ALTER COLUMN recipient TYPE TEXT COLLATE "default";
DROP INDEX outbox_bug;
ALTER TABLE outbox DROP COLUMN bug_id;
DROP INDEX bugs_news;
ALTER TABLE bugs
    DROP COLUMN news_reader,
    DROP COLUMN news_until,
    DROP COLUMN news_post,
    DROP COLUMN news_at,
    DROP COLUMN news_due;
DROP TABLE bug_digests;
DROP INDEX bugs_untold;
ALTER TABLE bugs DROP COLUMN told;
ALTER TABLE bug_files DROP COLUMN hidden_reason, DROP COLUMN hidden_by, DROP COLUMN hidden_at;
ALTER TABLE bug_posts DROP COLUMN hidden_reason, DROP COLUMN hidden_by, DROP COLUMN hidden_at;
ALTER TABLE bugs DROP COLUMN hidden_reason, DROP COLUMN hidden_by, DROP COLUMN hidden_at;
