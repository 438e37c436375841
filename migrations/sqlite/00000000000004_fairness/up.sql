-- What all Linodes of a host used in one interval of `step` seconds, packed (store::usage_pack). `slot`: its start, in
-- seconds since 1970, a multiple of `step`. `rolled`: it is counted in the next longer interval.
CREATE TABLE usage_rounds (
    host_id INTEGER NOT NULL REFERENCES hosts (id),
    step INTEGER NOT NULL CHECK (step IN (10, 60, 600)),
    slot INTEGER NOT NULL CHECK (slot % step = 0),
    rolled INTEGER NOT NULL DEFAULT 0,
    data BLOB NOT NULL,
    PRIMARY KEY (host_id, step, slot)
) STRICT;
CREATE INDEX usage_rounds_age ON usage_rounds (step, slot);
CREATE INDEX usage_rounds_open ON usage_rounds (step, slot, host_id) WHERE NOT rolled;
-- A Linode's day in intervals of 600 s, packed. `day`: days since 1970, UTC.
CREATE TABLE usage_days (
    linode_id INTEGER NOT NULL REFERENCES linodes (id),
    day INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (linode_id, day)
) STRICT;
CREATE INDEX usage_days_age ON usage_days (day);
-- How a host's guests stood to each other in one interval with contention. Ratios (got / due) and Jain's index in parts of
-- 1000. `worst`: took most beyond its due; `least`: came furthest below.
CREATE TABLE host_fairness (
    host_id INTEGER NOT NULL REFERENCES hosts (id),
    step INTEGER NOT NULL CHECK (step IN (60, 600, 86400)),
    slot INTEGER NOT NULL CHECK (slot % step = 0),
    judged_ms INTEGER NOT NULL CHECK (judged_ms >= 0),
    contended_ms INTEGER NOT NULL CHECK (contended_ms >= 0),
    guests INTEGER NOT NULL,
    jain INTEGER NOT NULL CHECK (jain BETWEEN 0 AND 1000),
    worst_id INTEGER REFERENCES linodes (id),
    worst_ratio INTEGER NOT NULL,
    worst_excess_ms INTEGER NOT NULL,
    least_id INTEGER REFERENCES linodes (id),
    least_ratio INTEGER NOT NULL,
    PRIMARY KEY (host_id, step, slot)
) STRICT;
CREATE INDEX host_fairness_age ON host_fairness (step, slot);
-- How a plan's RAM becomes a weight; without a row, the plan's own.
CREATE TABLE weight_rule (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    kind TEXT NOT NULL CHECK (kind IN ('plan', 'linear')),
    base INTEGER NOT NULL CHECK (base BETWEEN 0 AND 65535),
    unit_mb INTEGER NOT NULL CHECK (unit_mb BETWEEN 1 AND 65536),
    changed_at TEXT NOT NULL
) STRICT;
-- Linodes whose weight staff set by hand.
CREATE TABLE linode_weights (
    linode_id INTEGER PRIMARY KEY REFERENCES linodes (id),
    weight INTEGER NOT NULL CHECK (weight BETWEEN 1 AND 65535),
    reason TEXT NOT NULL,
    set_at TEXT NOT NULL
) STRICT;
