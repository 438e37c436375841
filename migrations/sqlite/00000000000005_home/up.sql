-- A mail's calendar file (iCalendar), if it has one.
ALTER TABLE outbox ADD COLUMN calendar TEXT CHECK (length(calendar) <= 20000);
-- When its member is to be reminded next: of the end of the offer, or of the time they chose.
ALTER TABLE migrations ADD COLUMN remind_at TEXT;
-- The SEQUENCE of the next calendar file that tells of its chosen time.
ALTER TABLE migrations ADD COLUMN calendar_seq INTEGER NOT NULL DEFAULT 0 CHECK (calendar_seq >= 0);
CREATE INDEX migrations_remind ON migrations (remind_at) WHERE remind_at IS NOT NULL;
-- What stands already is looked at in the first round, which finds the right time.
UPDATE migrations SET remind_at = offered_at WHERE state = 'offered' OR (state = 'queued' AND not_before IS NOT NULL);
-- When moves may begin by a member's choice: limits that staff set. One row, or none for no limits.
CREATE TABLE move_times (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    timezone TEXT NOT NULL,
    per_hour INTEGER CHECK (per_hour > 0),
    changed_at TEXT NOT NULL
) STRICT;
-- Hours in which none begins, by the weekday on which they begin (1 is Monday), in minutes from midnight; an end that is
-- not after the beginning is on the next day.
CREATE TABLE quiet_hours (
    weekday INTEGER PRIMARY KEY CHECK (weekday BETWEEN 1 AND 7),
    begins INTEGER NOT NULL CHECK (begins BETWEEN 0 AND 1439),
    ends INTEGER NOT NULL CHECK (ends BETWEEN 1 AND 1440),
    CHECK (begins <> ends)
) STRICT;
-- Mails that a user does not want; those that are not here are sent.
CREATE TABLE muted_mails (
    user_id INTEGER NOT NULL REFERENCES users (id),
    kind TEXT NOT NULL,
    PRIMARY KEY (user_id, kind)
) STRICT;
-- The first characters of a token, by which its owner knows it again; the form it was made with, so that a form sent twice
-- makes one; when it was revoked.
ALTER TABLE api_tokens ADD COLUMN prefix TEXT NOT NULL DEFAULT '';
ALTER TABLE api_tokens ADD COLUMN form TEXT;
ALTER TABLE api_tokens ADD COLUMN revoked_at TEXT;
CREATE UNIQUE INDEX api_tokens_form ON api_tokens (user_id, form) WHERE form IS NOT NULL;
