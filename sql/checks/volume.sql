-- purpose: the run enriched about as many photos as runs usually do: neither checks.volume_factor times more nor fewer
--   than the trailing mean of the runs before it that enriched any, once there are three.
-- severity: warning
WITH counted AS (
    SELECT run_id, min(started_at) AS started_at, sum(images) AS images
    FROM runs
    WHERE job = 'enrich'
    GROUP BY run_id
    HAVING sum(images) > 0
), own AS (
    SELECT counted.* FROM counted SEMI JOIN this_snapshot USING (run_id)
), earlier AS (
    SELECT images
    FROM counted
    WHERE started_at < (SELECT started_at FROM own)
    ORDER BY started_at DESC
    LIMIT (SELECT trailing_runs FROM limits)
), usual AS (
    SELECT avg(images) AS trailing_mean, count(*) AS runs FROM earlier
)
SELECT own.run_id, own.images, usual.trailing_mean, usual.runs AS trailing_runs
FROM own
CROSS JOIN usual
CROSS JOIN limits
WHERE usual.runs >= 3
    AND (own.images > usual.trailing_mean * volume_factor OR own.images < usual.trailing_mean / volume_factor)
