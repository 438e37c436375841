-- While this one row is there no new move begins.
CREATE TABLE move_pause (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    reason TEXT NOT NULL CHECK (reason <> ''),
    made_by INTEGER NOT NULL REFERENCES users (id),
    made_at TEXT NOT NULL
) STRICT;
