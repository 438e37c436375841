-- It is to be tried on its new host before it stops, and only a trial that ended later than this says how that went. NULL: it need not be.
ALTER TABLE migrations ADD COLUMN try_first_since TIMESTAMPTZ;
