-- What an attempt says about its provider, kept with it: attempts outlive their generation. `model`
-- is empty on those that were made before. `decided_by` is why the generation begins where it does,
-- `propensity_ppm` how likely that was, in millionths; `work_milli` is how much work it is, in
-- thousandths of a unit; the provider's cost is in millionths of a dollar, absent where nobody
-- knows it.
ALTER TABLE attempts ADD COLUMN model TEXT NOT NULL DEFAULT '';
ALTER TABLE attempts ADD COLUMN decided_by TEXT NOT NULL DEFAULT 'static' CHECK (decided_by IN ('pinned', 'static', 'ranking', 'exploration', 'probe', 'breaker'));
ALTER TABLE attempts ADD COLUMN propensity_ppm BIGINT CHECK (propensity_ppm BETWEEN 1 AND 1000000);
ALTER TABLE attempts ADD COLUMN work_milli BIGINT NOT NULL DEFAULT 1000 CHECK (work_milli >= 1);
ALTER TABLE attempts ADD COLUMN provider_cost_microdollars BIGINT CHECK (provider_cost_microdollars >= 0);
ALTER TABLE attempts ADD COLUMN provider_cost_source TEXT CHECK (provider_cost_source IN ('reported', 'catalogue'));

-- Whether content that one provider refuses is offered to the next.
ALTER TABLE accounts ADD COLUMN failover_on_moderation BOOLEAN NOT NULL DEFAULT false;

-- What is known of providers, written down from time to time, so that a start knows it again. A
-- region's is never read in another.
CREATE TABLE routing_snapshots (
    region   TEXT NOT NULL PRIMARY KEY,
    taken_at TIMESTAMPTZ NOT NULL,
    document JSON NOT NULL
);
