-- The boot of the host that its agent last spoke from: another one means that whatever ran there has ended.
ALTER TABLE hosts ADD COLUMN boot_id TEXT;
-- JSON: Linodes that ran when that boot began, and that the host could not look at since.
ALTER TABLE hosts ADD COLUMN unseen TEXT NOT NULL DEFAULT '[]';
