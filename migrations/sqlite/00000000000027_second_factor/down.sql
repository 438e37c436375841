DROP TABLE half_sign_ins;
DROP TABLE recovery_codes;
DROP TABLE second_factors;
ALTER TABLE sessions DROP COLUMN proved_at;
ALTER TABLE users DROP COLUMN second_factor_at;
