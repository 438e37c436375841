ALTER TABLE linodes DROP COLUMN console_at;
ALTER TABLE hosts DROP COLUMN kernels;
