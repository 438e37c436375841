-- What the host last said it can boot: JSON list of `wire::KernelReport`.
ALTER TABLE hosts ADD COLUMN kernels TEXT NOT NULL DEFAULT '[]';
-- When `console` was read; NULL for what older versions kept.
ALTER TABLE linodes ADD COLUMN console_at TEXT;
