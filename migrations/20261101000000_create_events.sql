-- A row is one event of one aggregate, own or taken in from a peer: the log. The first seven columns
-- are those of postgres-es, so that its repository reads this table. All rows are written by the one
-- writer of the server; nothing is ever updated or deleted.
CREATE TABLE events (
    aggregate_type text   NOT NULL,
    aggregate_id   text   NOT NULL,
    -- cqrs-es' number of the event inside its aggregate, from 1, in this database only.
    sequence       bigint NOT NULL CONSTRAINT events_sequence_positive CHECK (sequence > 0),
    event_type     text   NOT NULL,
    event_version  text   NOT NULL,
    -- The bytes the origin made: json, not jsonb, because jsonb rewrites them and the chain of
    -- hashes is over these bytes.
    payload        json   NOT NULL,
    metadata       json   NOT NULL,

    -- Place in this replica's log, from 1, no gaps. Never leaves this database.
    arrival        bigint NOT NULL CONSTRAINT events_arrival_positive CHECK (arrival > 0),
    -- The dot: who first accepted the event, and the number it gave. Plain columns, written by the
    -- writer, not generated from the payload: Postgres cannot take apart JSON text that holds an
    -- escaped NUL, and such an event of a later version must not stop the log.
    replica        integer NOT NULL,
    epoch          bigint  NOT NULL,
    seq            bigint  NOT NULL CONSTRAINT events_seq_positive CHECK (seq > 0),
    -- The clock reading that leads the order key (hlc, replica, epoch, seq).
    hlc            bigint  NOT NULL,
    -- The api level that introduced the event's type.
    level          integer NOT NULL,
    -- The chain of the origin up to and with this event.
    hash           bytea   NOT NULL CONSTRAINT events_hash_length CHECK (octet_length(hash) = 32),
    -- What the author's idempotency key is looked up by, where the event has one.
    key_digest     bytea,
    -- Whose membership it is about, where it is about one.
    member         text,

    CONSTRAINT events_once_per_sequence PRIMARY KEY (aggregate_type, aggregate_id, sequence),
    CONSTRAINT events_dot_once UNIQUE (replica, epoch, seq),
    CONSTRAINT events_arrival_once UNIQUE (arrival)
);

-- Which event decides whether this user is a member of this group?
CREATE INDEX events_by_member ON events (aggregate_id, member, hlc, replica, epoch, seq)
    WHERE member IS NOT NULL;

-- Which message was sent under this key?
CREATE INDEX events_by_key ON events (key_digest) WHERE key_digest IS NOT NULL;
