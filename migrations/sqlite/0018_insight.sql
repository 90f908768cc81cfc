-- What happened in an account in an hour of UTC (`2026-11-28T14`), or on a day, once its hours were
-- put together (`2026-11-28`). Counted in the transaction of what happened, and kept when its rows
-- are gone. `what` is of which kind, `name` which of that kind; what `total` is a sum of follows
-- from `what` (`actors/src/tally.rs`).
CREATE TABLE tallies (
    account_id BLOB NOT NULL REFERENCES accounts (id),
    at         TEXT NOT NULL CHECK (length(at) IN (10, 13)),
    what       TEXT NOT NULL,
    name       TEXT NOT NULL,
    times      INTEGER NOT NULL CHECK (times >= 0),
    total      INTEGER NOT NULL,
    PRIMARY KEY (account_id, at, what, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX tallies_hours ON tallies (at, account_id) WHERE length(at) = 13;

-- What is there already, by the day. Of generations that are gone, nothing is known but their
-- attempts; those in flight are counted when they end.
INSERT INTO tallies (account_id, at, what, name, times, total)
SELECT account_id, substr(completed_at, 1, 10), 'outcome', status, COUNT(*),
    CAST(COALESCE(SUM(json_array_length(outputs)), 0) AS INTEGER)
FROM generations WHERE status IN ('succeeded', 'failed', 'canceled')
GROUP BY 1, 2, 3, 4;
INSERT INTO tallies (account_id, at, what, name, times, total)
SELECT account_id, substr(completed_at, 1, 10), 'failure', failure_code, COUNT(*), 0
FROM generations WHERE status = 'failed'
GROUP BY 1, 2, 3, 4;
INSERT INTO tallies (account_id, at, what, name, times, total)
SELECT account_id, substr(completed_at, 1, 10), 'model', model, COUNT(*),
    CAST(COALESCE(SUM(CASE WHEN status = 'succeeded' THEN amount_millicredits ELSE 0 END), 0) AS INTEGER)
FROM generations WHERE status IN ('succeeded', 'failed', 'canceled')
GROUP BY 1, 2, 3, 4;
INSERT INTO tallies (account_id, at, what, name, times, total)
SELECT account_id, substr(completed_at, 1, 10), 'key',
    CASE WHEN api_key_id IS NULL THEN '' ELSE lower(substr(hex(api_key_id), 1, 8) || '-' || substr(hex(api_key_id), 9, 4) || '-' || substr(hex(api_key_id), 13, 4)
        || '-' || substr(hex(api_key_id), 17, 4) || '-' || substr(hex(api_key_id), 21)) END, COUNT(*),
    CAST(COALESCE(SUM(CASE WHEN status = 'succeeded' THEN amount_millicredits ELSE 0 END), 0) AS INTEGER)
FROM generations WHERE status IN ('succeeded', 'failed', 'canceled')
GROUP BY 1, 2, 3, 4;
INSERT INTO tallies (account_id, at, what, name, times, total)
SELECT account_id, at, 'latency', CASE
        WHEN ms <= 50 THEN '50' WHEN ms <= 100 THEN '100' WHEN ms <= 150 THEN '150'
        WHEN ms <= 200 THEN '200' WHEN ms <= 300 THEN '300' WHEN ms <= 400 THEN '400'
        WHEN ms <= 500 THEN '500' WHEN ms <= 750 THEN '750' WHEN ms <= 1000 THEN '1000'
        WHEN ms <= 1500 THEN '1500' WHEN ms <= 2000 THEN '2000' WHEN ms <= 3000 THEN '3000'
        WHEN ms <= 4000 THEN '4000' WHEN ms <= 5000 THEN '5000' WHEN ms <= 7500 THEN '7500'
        WHEN ms <= 10000 THEN '10000' WHEN ms <= 15000 THEN '15000' WHEN ms <= 20000 THEN '20000'
        WHEN ms <= 30000 THEN '30000' WHEN ms <= 45000 THEN '45000' WHEN ms <= 60000 THEN '60000'
        WHEN ms <= 90000 THEN '90000' WHEN ms <= 120000 THEN '120000' WHEN ms <= 180000 THEN '180000'
        WHEN ms <= 300000 THEN '300000' WHEN ms <= 600000 THEN '600000' WHEN ms <= 1200000 THEN '1200000'
        ELSE '18446744073709551615' END, COUNT(*), CAST(COALESCE(SUM(ms), 0) AS INTEGER)
FROM (
    SELECT account_id, substr(completed_at, 1, 10) AS at,
        MAX(CAST(ROUND((julianday(completed_at) - julianday(created_at)) * 86400000) AS INTEGER), 0) AS ms
    FROM generations WHERE status = 'succeeded') AS took
GROUP BY 1, 2, 3, 4;
INSERT INTO tallies (account_id, at, what, name, times, total)
SELECT account_id, substr(completed_at, 1, 10), 'inference', '', COUNT(*), CAST(COALESCE(SUM(predict_time_ms), 0) AS INTEGER)
FROM generations WHERE status = 'succeeded' AND predict_time_ms IS NOT NULL
GROUP BY 1, 2, 3, 4;
INSERT INTO tallies (account_id, at, what, name, times, total)
SELECT account_id, substr(resolved_at, 1, 10), 'provider', provider || ' ' || outcome, COUNT(*),
    CAST(COALESCE(SUM(estimated_cost_microcredits), 0) AS INTEGER)
FROM attempts WHERE outcome <> 'pending' AND NOT EXISTS (
    SELECT 1 FROM generations
    WHERE generations.account_id = attempts.account_id AND generations.id = attempts.generation_id
      AND generations.status IN ('pending', 'processing'))
GROUP BY 1, 2, 3, 4;
INSERT INTO tallies (account_id, at, what, name, times, total)
SELECT account_id, at, 'failover', '', COUNT(*), CAST(SUM(more) AS INTEGER)
FROM (
    SELECT account_id, substr(MIN(submitted_at), 1, 10) AS at, COUNT(*) AS more
    FROM attempts WHERE number > 1 AND NOT EXISTS (
        SELECT 1 FROM generations
        WHERE generations.account_id = attempts.account_id AND generations.id = attempts.generation_id
          AND generations.status IN ('pending', 'processing'))
    GROUP BY account_id, generation_id) AS failovers
GROUP BY 1, 2, 3, 4;
INSERT INTO tallies (account_id, at, what, name, times, total)
SELECT account_id, substr(finished_at, 1, 10), 'delivery',
    CASE status WHEN 'delivered' THEN 'delivered' ELSE 'failed' END, COUNT(*), CAST(COALESCE(SUM(tries), 0) AS INTEGER)
FROM webhook_deliveries
WHERE status IN ('delivered', 'exhausted') AND event <> 'webhook.test'
GROUP BY 1, 2, 3, 4;
INSERT INTO tallies (account_id, at, what, name, times, total)
SELECT account_id, substr(requested_at, 1, 10), 'endpoint', method || ' ' || endpoint, COUNT(*),
    CAST(COALESCE(SUM(CASE WHEN status >= 400 THEN 1 ELSE 0 END), 0) AS INTEGER)
FROM logged_requests
GROUP BY 1, 2, 3, 4;
INSERT INTO tallies (account_id, at, what, name, times, total)
SELECT account_id, substr(requested_at, 1, 10), 'caller',
    CASE WHEN api_key_id IS NULL THEN '' ELSE lower(substr(hex(api_key_id), 1, 8) || '-' || substr(hex(api_key_id), 9, 4) || '-' || substr(hex(api_key_id), 13, 4)
        || '-' || substr(hex(api_key_id), 17, 4) || '-' || substr(hex(api_key_id), 21)) END, COUNT(*),
    CAST(COALESCE(SUM(CASE WHEN status >= 400 THEN 1 ELSE 0 END), 0) AS INTEGER)
FROM logged_requests
GROUP BY 1, 2, 3, 4;
-- Days of requests outlive their rows, by the day; how long requests took is not in them.
INSERT INTO tallies (account_id, at, what, name, times, total)
SELECT account_id, day, 'request', class, CAST(COALESCE(SUM(times), 0) AS INTEGER), 0
FROM (
    SELECT account_id, day, '2xx' AS class, successes AS times FROM request_days
    UNION ALL SELECT account_id, day, '4xx', client_errors FROM request_days
    UNION ALL SELECT account_id, day, '5xx', server_errors FROM request_days) AS classes
WHERE times > 0
GROUP BY 1, 2, 3, 4;
INSERT INTO tallies (account_id, at, what, name, times, total)
SELECT account_id, day, 'code', code, CAST(COALESCE(SUM(successes + client_errors + server_errors), 0) AS INTEGER), 0
FROM request_days WHERE code <> ''
GROUP BY 1, 2, 3, 4;

-- Requests by key, in the order of time; and those that are rare among many that went well.
DROP INDEX logged_requests_key;
CREATE INDEX logged_requests_key ON logged_requests (account_id, api_key_id, id);
CREATE INDEX logged_requests_rare
    ON logged_requests (account_id, (status / 100), id) WHERE status >= 300;

-- Generations that did not succeed, likewise.
CREATE INDEX generations_failed ON generations (account_id, id) WHERE status = 'failed';
CREATE INDEX generations_canceled ON generations (account_id, id) WHERE status = 'canceled';

-- What was sent about a generation.
CREATE INDEX webhook_deliveries_generation
    ON webhook_deliveries (account_id, generation_id, id) WHERE generation_id IS NOT NULL;
