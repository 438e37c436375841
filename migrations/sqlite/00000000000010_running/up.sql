-- When the Linode was started on its new host; the move is finished only after it was watched there.
ALTER TABLE migrations ADD COLUMN running_at TEXT;
