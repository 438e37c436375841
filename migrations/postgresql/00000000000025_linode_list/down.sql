DROP INDEX linodes_label;
