-- A row is an event that was taken out of the log by `new-epoch --rescue`: replicas held different
-- events under its origin's numbers, or it was written knowing such an event. Nothing is deleted:
-- it waits here until it came back from a peer or was written again under a new epoch, and is kept.
CREATE TABLE set_aside_events (
    -- The dot and the order key it had.
    replica integer NOT NULL,
    epoch   bigint  NOT NULL,
    seq     bigint  NOT NULL,
    hlc     bigint  NOT NULL,
    -- The bytes its origin made, and the chain up to them.
    payload json    NOT NULL,
    hash    bytea   NOT NULL,
    -- What became of it: returned (a peer gave it), rewritten (under a new epoch), superseded (what
    -- it said is there already, or something newer). Nothing: it waits.
    outcome text CONSTRAINT set_aside_events_outcome
        CHECK (outcome IN ('returned', 'rewritten', 'superseded')),
    CONSTRAINT set_aside_events_once PRIMARY KEY (replica, epoch, seq, hash)
);
-- What waits, in its order?
CREATE INDEX set_aside_events_waiting ON set_aside_events (hlc, replica, epoch, seq, hash)
    WHERE outcome IS NULL;
