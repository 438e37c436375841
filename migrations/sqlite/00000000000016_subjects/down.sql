DROP INDEX outbox_urgent;
DROP INDEX audit_subject;
ALTER TABLE audit_events DROP COLUMN subject;
