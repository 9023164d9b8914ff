-- A row is what the log held after every 256th event (VECTOR_EVERY in domain/src/timeline): the
-- cursor of a reader who stops in the middle of a catch-up covers the last row before that place, so
-- the next call scans few events again, whatever other groups write.
CREATE TABLE log_vectors (
    arrival bigint PRIMARY KEY,
    -- Origin → seq, as text of JSON.
    vector  text   NOT NULL
);

-- Concurrent entries are found when a reader rechecks them; the mark depended on how many events the
-- projection took in one step.
ALTER TABLE feed DROP COLUMN contested;

-- Who likes this message, by name? By the time of the like, one that is said again, here or on the
-- other side of a partition, would change what earlier frames showed.
CREATE INDEX likes_by_name ON likes (message_id, user_name COLLATE "C", user_id) WHERE is_liked;
DROP INDEX likes_in_order;

-- Entries have one more effect now (overruled), and no row above is there yet: fold the log again.
TRUNCATE groups, members, messages, likes, feed, quarantine;
UPDATE timeline_checkpoint SET arrival = 0, hlc = 0, vector = '{}';
