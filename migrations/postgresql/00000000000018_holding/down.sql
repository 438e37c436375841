UPDATE migrations SET state = 'failed', step = NULL, failure = 'The portal went back to an older release.' WHERE state = 'holding';
DROP INDEX migrations_stops;
DROP INDEX migrations_due;
CREATE INDEX migrations_due ON migrations (not_before) WHERE state = 'queued';
DROP INDEX migrations_one_live;
CREATE UNIQUE INDEX migrations_one_live ON migrations (linode_id)
    WHERE state IN ('offered', 'queued', 'preparing', 'copying', 'switching');
ALTER TABLE move_times DROP COLUMN stops_at_once;
ALTER TABLE migrations DROP COLUMN offer_again;
ALTER TABLE migrations DROP COLUMN copied_s;
ALTER TABLE migrations DROP COLUMN pass_s;
ALTER TABLE migrations DROP COLUMN in_step_at;
ALTER TABLE migrations DROP COLUMN late_told;
ALTER TABLE migrations DROP COLUMN patience_s;
ALTER TABLE migrations DROP COLUMN begin_at;
