-- What an entry is about, so that a Linode's trail has its weight, disks, config profiles and addresses. Not part of the
-- chain: it follows from the object, whose words never change.
ALTER TABLE audit_events ADD COLUMN subject TEXT GENERATED ALWAYS AS (
    CASE
        WHEN substr(object, 1, 7) = 'linode:' THEN 'linode ' || substr(object, 8)
        WHEN substr(object, 1, 7) = 'linode ' AND instr(object, ',') > 0 THEN substr(object, 1, instr(object, ',') - 1)
        ELSE object
    END
) VIRTUAL;
CREATE INDEX audit_subject ON audit_events (subject, id);
-- Mail of access goes before all other, however much of that waits.
CREATE INDEX outbox_urgent ON outbox (kind, next_at, id) WHERE state = 'pending';
