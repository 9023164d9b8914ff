-- The text columns of the log are compared byte by byte. With a collation of the database, an upgrade
-- of the system's locales would change the order that the indexes rely on, and rows could no longer
-- be found.
ALTER TABLE events
    ALTER COLUMN aggregate_type TYPE text COLLATE "C",
    ALTER COLUMN aggregate_id TYPE text COLLATE "C",
    ALTER COLUMN member TYPE text COLLATE "C";
