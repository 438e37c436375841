ALTER TABLE move_times DROP COLUMN quiet_cap_mb_s;
DROP INDEX linodes_never_both;
ALTER TABLE linodes DROP COLUMN never_both;
ALTER TABLE migrations DROP COLUMN foretold_most_ms;
ALTER TABLE migrations DROP COLUMN foretold_ms;
ALTER TABLE migrations DROP COLUMN changed_b_s;
ALTER TABLE migrations DROP COLUMN down_limit_s;
DROP TABLE timings;
