ALTER TABLE migrations DROP COLUMN try_first_since;
