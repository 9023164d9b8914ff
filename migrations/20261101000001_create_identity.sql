-- The one row says as whom this database writes. It is only believed when the file beside the
-- database agrees (see domain/src/log/identity.rs).
CREATE TABLE identity (
    the_only_row      boolean PRIMARY KEY DEFAULT true CONSTRAINT identity_one_row CHECK (the_only_row),
    cluster           text    NOT NULL,
    replica           integer NOT NULL,
    epoch             bigint  NOT NULL,
    -- No promise about the future lies above this clock reading; a start begins above it.
    reserved_hlc      bigint  NOT NULL,
    -- Which Postgres this was written by: another one means a copy or a failover.
    system_identifier text    NOT NULL,
    timeline          text    NOT NULL
);
