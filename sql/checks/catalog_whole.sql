-- purpose: the catalog did not lose a large share of its photos: of the trailing mean of whole listings, by
--   checks.catalog_shrink. A bucket half empty or a wrong prefix would otherwise pass on as products that are gone.
-- severity: blocking
WITH listings AS (
    SELECT json_extract(details, '$.listed')::BIGINT AS listed
    FROM runs
    WHERE job = 'plan'
        AND coalesce(json_extract_string(details, '$.prefix'), '') = ''
        AND run_id IS DISTINCT FROM (SELECT run_id FROM this_snapshot)
    ORDER BY started_at DESC
    LIMIT (SELECT trailing_runs FROM limits)
), usual AS (
    SELECT avg(listed) AS trailing_mean, count(*) AS listings FROM listings
)
SELECT usual.*, present.photos
FROM usual
CROSS JOIN (SELECT count(*) AS photos FROM "catalog") AS present
WHERE usual.trailing_mean > 0
    AND present.photos < (1 - (SELECT catalog_shrink FROM limits)) * usual.trailing_mean
