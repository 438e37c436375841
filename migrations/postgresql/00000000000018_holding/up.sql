-- The time that a member chooses is when the Linode stops (`not_before`); copying begins early enough for it.
ALTER TABLE migrations ADD COLUMN begin_at TIMESTAMPTZ;
-- Not in step by then: as soon as it is for so long, and then not.
ALTER TABLE migrations ADD COLUMN patience_s INTEGER NOT NULL DEFAULT 7200;
-- Its member was told that it is not in step by the time chosen.
ALTER TABLE migrations ADD COLUMN late_told BOOLEAN NOT NULL DEFAULT FALSE;
-- When the last pass ended, and how many seconds it took.
ALTER TABLE migrations ADD COLUMN in_step_at TIMESTAMPTZ;
ALTER TABLE migrations ADD COLUMN pass_s INTEGER NOT NULL DEFAULT 0;
-- From its beginning until it was in step first, in seconds.
ALTER TABLE migrations ADD COLUMN copied_s INTEGER;
-- Its cancel leaves its member the offer.
ALTER TABLE migrations ADD COLUMN offer_again BOOLEAN NOT NULL DEFAULT FALSE;
-- Linodes that stop at once on one host, at most.
ALTER TABLE move_times ADD COLUMN stops_at_once INTEGER NOT NULL DEFAULT 4;
UPDATE migrations SET begin_at = not_before - INTERVAL '1 hour' WHERE state = 'queued' AND not_before IS NOT NULL;
DROP INDEX migrations_one_live;
CREATE UNIQUE INDEX migrations_one_live ON migrations (linode_id)
    WHERE state IN ('offered', 'queued', 'preparing', 'copying', 'holding', 'switching');
DROP INDEX migrations_due;
CREATE INDEX migrations_due ON migrations (begin_at) WHERE state = 'queued';
CREATE INDEX migrations_stops ON migrations (not_before) WHERE not_before IS NOT NULL;
