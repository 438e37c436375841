-- While this one row is there no new move begins.
CREATE TABLE move_pause (
    id BIGINT PRIMARY KEY CHECK (id = 1),
    reason TEXT NOT NULL CHECK (reason <> ''),
    made_by BIGINT NOT NULL REFERENCES users (id),
    made_at TIMESTAMPTZ NOT NULL
);
