-- When the files of a generation were removed because they are not kept for longer.
ALTER TABLE generations ADD COLUMN files_removed_at TEXT CHECK (files_removed_at IS NULL OR status = 'succeeded');
-- Only what still has files, so that those to be removed are found without passing those that
-- have none any more.
CREATE INDEX generations_files ON generations (account_id, id) WHERE status = 'succeeded' AND files_removed_at IS NULL;
