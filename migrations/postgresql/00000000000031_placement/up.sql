-- What the beta must come up to before it is ready to end; one row, or the defaults.
CREATE TABLE readiness_limits (
    id BIGINT PRIMARY KEY CHECK (id = 1),
    moves_least BIGINT NOT NULL,
    reached_least_percent BIGINT NOT NULL,
    serious_bugs_most BIGINT NOT NULL,
    down_median_most_s BIGINT NOT NULL,
    down_p90_most_s BIGINT NOT NULL,
    unfair_hosts_most BIGINT NOT NULL,
    went_back_most_percent BIGINT NOT NULL,
    failed_jobs_most BIGINT NOT NULL,
    silent_hosts_most BIGINT NOT NULL,
    changed_at TIMESTAMPTZ NOT NULL
);
