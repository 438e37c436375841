-- What waits for staff, and that they were told of it by mail: once for as long as it stands.
CREATE TABLE alerts (
    id TEXT PRIMARY KEY NOT NULL,
    told_at TEXT NOT NULL
);
