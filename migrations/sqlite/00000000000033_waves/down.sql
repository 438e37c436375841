DROP INDEX migrations_parent;
DROP TABLE wave_items;
DROP TABLE waves;
ALTER TABLE portal DROP COLUMN moves_paused_why;
ALTER TABLE portal DROP COLUMN moves_paused_by;
ALTER TABLE portal DROP COLUMN moves_paused_at;
