DROP TABLE batch_accounts;
DROP TABLE batch_items;
DROP TABLE batches;
