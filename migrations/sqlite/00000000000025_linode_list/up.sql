-- Staff's list of all Linodes is by label.
CREATE INDEX linodes_label ON linodes (label, id);
