ALTER TABLE migrations DROP COLUMN running_at;
