-- What a member meant by the time they chose: what their clock shows then. Where its zone's rules change, the moment moves, and this stays.
CREATE TABLE chosen_times (
    migration_id BIGINT PRIMARY KEY NOT NULL REFERENCES migrations (id) ON DELETE CASCADE,
    at TIMESTAMPTZ NOT NULL,
    zone TEXT NOT NULL,
    local TEXT NOT NULL,
    zones TEXT NOT NULL
);
CREATE INDEX chosen_times_zones ON chosen_times (zones);
