-- The wider network that a sign-in failed from (the /56 of an IPv6 address); empty where there is none.
ALTER TABLE sign_in_failures ADD COLUMN network TEXT NOT NULL DEFAULT '';
CREATE INDEX sign_in_failures_network ON sign_in_failures (network, at);
-- Where a link for a new password was asked for: a network, a device, or 'staff'.
ALTER TABLE password_resets ADD COLUMN asker TEXT NOT NULL DEFAULT '';
