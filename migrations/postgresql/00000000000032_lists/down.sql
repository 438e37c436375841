DELETE FROM batches WHERE kind IN ('graduate', 'evacuate', 'retry');
ALTER TABLE batches ADD COLUMN destination_host_id BIGINT REFERENCES hosts (id);
UPDATE batches SET destination_host_id = (SELECT min(destination_host_id) FROM batch_items WHERE batch_id = batches.id);
ALTER TABLE batch_items
    DROP COLUMN closes,
    DROP COLUMN destination_host_id,
    DROP COLUMN linode_id;
ALTER TABLE batch_items RENAME COLUMN item_id TO registration_id;
ALTER TABLE batch_items ADD CONSTRAINT batch_items_registration_id_fkey FOREIGN KEY (registration_id) REFERENCES registrations (id);
ALTER TABLE batches
    DROP COLUMN not_before,
    DROP COLUMN source_host_id,
    DROP CONSTRAINT batches_kind_check,
    ADD CONSTRAINT batches_kind_check CHECK (kind IN ('approve', 'decline', 'configure'));
DROP TABLE job_pauses;
-- The extension stays: others may use it by now.
DROP INDEX bug_facts_linode;
DROP TABLE names;
