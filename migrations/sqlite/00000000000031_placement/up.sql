-- What the beta must come up to before it is ready to end; one row, or the defaults.
CREATE TABLE readiness_limits (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    moves_least INTEGER NOT NULL,
    reached_least_percent INTEGER NOT NULL,
    serious_bugs_most INTEGER NOT NULL,
    down_median_most_s INTEGER NOT NULL,
    down_p90_most_s INTEGER NOT NULL,
    unfair_hosts_most INTEGER NOT NULL,
    went_back_most_percent INTEGER NOT NULL,
    failed_jobs_most INTEGER NOT NULL,
    silent_hosts_most INTEGER NOT NULL,
    changed_at TEXT NOT NULL
) STRICT;
