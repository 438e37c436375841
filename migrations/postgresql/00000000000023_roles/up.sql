-- What somebody of the staff may do. Those who were staff before may go on doing all of it.
ALTER TABLE users ADD COLUMN staff_role TEXT
    CHECK (staff_role IS NULL OR (role = 'staff' AND staff_role IN ('viewer', 'support', 'operator', 'owner')));
UPDATE users SET staff_role = 'owner' WHERE role = 'staff';
CREATE INDEX users_staff ON users (staff_role, email);
ALTER TABLE users ADD CONSTRAINT users_staff_have_a_role CHECK ((role = 'staff') = (staff_role IS NOT NULL));
