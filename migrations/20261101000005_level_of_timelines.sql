-- The api level of the server that folded the read model. Events of a higher level were passed over
-- then; a server that knows more folds again.
ALTER TABLE timeline_checkpoint ADD COLUMN level integer NOT NULL DEFAULT 1;
