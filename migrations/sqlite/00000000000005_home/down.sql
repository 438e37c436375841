DROP INDEX api_tokens_form;
-- A revoked token must not come back to life.
DELETE FROM api_tokens WHERE revoked_at IS NOT NULL;
ALTER TABLE api_tokens DROP COLUMN revoked_at;
ALTER TABLE api_tokens DROP COLUMN form;
ALTER TABLE api_tokens DROP COLUMN prefix;
DROP TABLE muted_mails;
DROP TABLE quiet_hours;
DROP TABLE move_times;
DROP INDEX migrations_remind;
ALTER TABLE migrations DROP COLUMN calendar_seq;
ALTER TABLE migrations DROP COLUMN remind_at;
ALTER TABLE outbox DROP COLUMN calendar;
