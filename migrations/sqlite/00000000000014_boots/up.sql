-- The boot of the host that its agent last spoke from: another one means that whatever ran there has ended.
ALTER TABLE hosts ADD COLUMN boot_id TEXT;
