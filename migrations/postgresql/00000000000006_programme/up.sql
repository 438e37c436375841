ALTER TABLE programme ADD COLUMN opens_at TIMESTAMPTZ;
-- What members are told; nothing happens by itself then.
ALTER TABLE programme ADD COLUMN expected_end_at TIMESTAMPTZ;
ALTER TABLE programme ADD COLUMN ended_at TIMESTAMPTZ CHECK (state = 'ended' OR ended_at IS NULL);
-- What staff wrote for a section of the announcement, in Markdown; a section without a row has its default text.
CREATE TABLE programme_texts (
    section TEXT PRIMARY KEY NOT NULL,
    body TEXT NOT NULL CHECK (length(body) BETWEEN 1 AND 20000),
    changed_at TIMESTAMPTZ NOT NULL,
    changed_by BIGINT REFERENCES users (id)
);
-- Two more states: graduated (it runs on production) and closed (the beta ended before it moved).
ALTER TABLE registrations DROP CONSTRAINT registrations_state_check;
ALTER TABLE registrations ADD CONSTRAINT registrations_state_check
    CHECK (state IN ('requested', 'approved', 'declined', 'withdrawn', 'graduated', 'closed'));
CREATE INDEX registrations_linode ON registrations (linode_id, id);
CREATE INDEX migrations_kind ON migrations (kind, state, id);
CREATE INDEX migrations_started ON migrations (started_at);
CREATE INDEX users_role ON users (role, email);
CREATE INDEX users_disabled ON users (disabled, email);
CREATE INDEX outbox_recipient ON outbox (recipient, id);
CREATE INDEX audit_actor ON audit_events (actor, id);
CREATE INDEX audit_action ON audit_events (action, id);
CREATE INDEX audit_at ON audit_events (at, id);
