ALTER TABLE outbox DROP COLUMN stale_at;
DROP INDEX bug_events_at;
DROP INDEX jobs_failed;
DROP INDEX migration_events_failed;
DROP TABLE silence_looks;
DROP TABLE host_silence;
