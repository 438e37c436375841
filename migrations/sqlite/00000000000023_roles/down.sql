DROP INDEX users_staff;
ALTER TABLE users DROP COLUMN staff_role;
