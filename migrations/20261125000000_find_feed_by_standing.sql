-- Most entries are messages, and nobody looks for a message's entry by its id but when a copy of it
-- comes: those are found through the events of that message. An index entry for each, at a place that
-- is as good as random, made every message dearer.
DROP INDEX feed_of_subject;
-- Which entries say where this user stands towards this message or group?
CREATE INDEX feed_of_standing ON feed (subject, group_name) WHERE kind IN ('join', 'leave', 'like', 'unlike');
