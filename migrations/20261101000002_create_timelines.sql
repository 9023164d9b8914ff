-- The read model: what the events up to a checkpoint amount to. Everything here can be dropped and
-- rebuilt from the events.

-- How far the read model has followed the log. One row; written in the transaction of each step.
CREATE TABLE timeline_checkpoint (
    the_only_row boolean PRIMARY KEY DEFAULT true CONSTRAINT timeline_checkpoint_one_row CHECK (the_only_row),
    arrival      bigint NOT NULL,
    hlc          bigint NOT NULL,
    -- Origin → highest seq folded in, as text of JSON.
    vector       text   NOT NULL
);
INSERT INTO timeline_checkpoint (arrival, hlc, vector) VALUES (0, 0, '{}');

-- A row is a group somebody has joined at least once.
CREATE TABLE groups (
    name          text COLLATE "C" PRIMARY KEY,
    members_count bigint NOT NULL
);

-- A row is where a user stands in a group: member or former member.
CREATE TABLE members (
    group_name text COLLATE "C" NOT NULL,
    user_id    text COLLATE "C" NOT NULL,
    user_name  text COLLATE "C" NOT NULL,
    -- The order key of the event that decided it.
    since      text COLLATE "C" NOT NULL,
    is_member  boolean NOT NULL,
    PRIMARY KEY (group_name, user_id)
);
-- Who is in this group, by name?
CREATE INDEX members_by_name ON members (group_name, user_name, user_id) WHERE is_member;

-- A row is a message: of several copies, the one with the lowest order key.
CREATE TABLE messages (
    id          text COLLATE "C" PRIMARY KEY,
    group_name  text COLLATE "C" NOT NULL,
    -- The text form of the order key.
    position    text COLLATE "C" NOT NULL,
    author_id   text COLLATE "C" NOT NULL,
    author_name text NOT NULL,
    text        text NOT NULL,
    -- Milliseconds since 1970: the client's time where it gave one, and the origin's.
    sent_at     bigint,
    received_at bigint NOT NULL,
    -- What the origin held with this message, origin → seq, as text of JSON.
    vector      text   NOT NULL,
    likes_count bigint NOT NULL
);
-- Which messages stand before or after this place in the group?
CREATE UNIQUE INDEX messages_in_order ON messages (group_name, position);

-- A row is what a user last said about a message: liked, or taken back.
CREATE TABLE likes (
    message_id text COLLATE "C" NOT NULL,
    user_id    text COLLATE "C" NOT NULL,
    user_name  text NOT NULL,
    since      text COLLATE "C" NOT NULL,
    is_liked   boolean NOT NULL,
    PRIMARY KEY (message_id, user_id)
);
-- Who likes this message, first likes first?
CREATE INDEX likes_in_order ON likes (message_id, since) WHERE is_liked;

-- A row is an event that concerns the readers of a group, in order of arrival: what streams read.
CREATE TABLE feed (
    arrival    bigint PRIMARY KEY,
    group_name text COLLATE "C" NOT NULL,
    -- message, like, unlike, join or leave; moved where a message's copy sorts before the former.
    kind       text NOT NULL,
    -- The message, or the user who joined or left.
    subject    text COLLATE "C" NOT NULL,
    -- Who did it.
    user_id    text NOT NULL,
    user_name  text NOT NULL,
    position   text COLLATE "C" NOT NULL,
    level      integer NOT NULL,
    -- What it did here: nothing (an older event, or a later copy), won without a visible change, or
    -- changed what people see.
    effect     text NOT NULL,
    -- A later arrival lost against this event, so what a reader of another replica was given may
    -- differ from what this replica showed: told again to whoever resumes.
    contested  boolean NOT NULL DEFAULT false
);
-- What has happened in this group since?
CREATE INDEX feed_of_group ON feed (group_name, arrival);
-- Which events are about this message or member?
CREATE INDEX feed_of_subject ON feed (subject, group_name);

-- A row is an event that the read model could not fold. The log goes on without it.
CREATE TABLE quarantine (
    arrival bigint PRIMARY KEY,
    reason  text NOT NULL
);
