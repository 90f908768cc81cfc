-- The region that a key authenticates in, that of the server it was made on. Absent on keys from
-- before there were regions, which go on as they were.
ALTER TABLE api_keys ADD COLUMN region TEXT CHECK (length(region) BETWEEN 1 AND 32);
