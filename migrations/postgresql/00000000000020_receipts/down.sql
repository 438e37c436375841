ALTER TABLE outbox DROP COLUMN receipt_of;
DROP TABLE receipts;
DROP TABLE receipt_keys;
