DROP INDEX migrations_kind_source;
ALTER TABLE migrations DROP COLUMN reason;
ALTER TABLE hosts DROP COLUMN emptying_since;
