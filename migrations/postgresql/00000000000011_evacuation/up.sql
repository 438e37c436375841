-- Since when staff empty a host; it is draining for as long.
ALTER TABLE hosts ADD COLUMN emptying_since TIMESTAMPTZ CHECK (emptying_since IS NULL OR state = 'draining');
-- Why staff move a Linode off its host, in words that its members read.
ALTER TABLE migrations ADD COLUMN reason TEXT NOT NULL DEFAULT ''
    CHECK (length(reason) <= 500 AND (kind <> 'evacuation' OR reason <> ''));
CREATE INDEX migrations_kind_source ON migrations (kind, source_host_id, id);
