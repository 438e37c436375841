ALTER TABLE password_resets DROP COLUMN asker;
DROP INDEX sign_in_failures_network;
ALTER TABLE sign_in_failures DROP COLUMN network;
