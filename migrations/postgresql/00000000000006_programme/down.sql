DROP INDEX audit_at;
DROP INDEX audit_action;
DROP INDEX audit_actor;
DROP INDEX outbox_recipient;
DROP INDEX users_disabled;
DROP INDEX users_role;
DROP INDEX migrations_started;
DROP INDEX migrations_kind;
DROP INDEX registrations_linode;
-- The older program has no word for these: both have ended, and neither is live.
UPDATE registrations SET state = CASE state WHEN 'graduated' THEN 'withdrawn' ELSE 'declined' END
WHERE state IN ('graduated', 'closed');
ALTER TABLE registrations DROP CONSTRAINT registrations_state_check;
ALTER TABLE registrations ADD CONSTRAINT registrations_state_check
    CHECK (state IN ('requested', 'approved', 'declined', 'withdrawn'));
DROP TABLE programme_texts;
ALTER TABLE programme DROP COLUMN ended_at;
ALTER TABLE programme DROP COLUMN expected_end_at;
ALTER TABLE programme DROP COLUMN opens_at;
