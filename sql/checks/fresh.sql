-- purpose: the tables are of today: the catalog was listed, and no photo has been waiting, for checks.fresh_hours.
-- severity: warning
WITH bound AS (
    SELECT asked_at - to_microseconds((fresh_hours * 3600e6)::BIGINT) AS oldest FROM limits
), listing AS (
    SELECT max(started_at) AS since FROM runs WHERE job = 'plan'
), waiting AS (
    SELECT min(modified_at) AS since, count(*) AS photos
    FROM "catalog"
    ANTI JOIN enriched USING (image_key, etag)
    ANTI JOIN quarantined USING (image_key, etag)
    WHERE modified_at < (SELECT oldest FROM bound)
)
SELECT 'the catalog was last listed' AS problem, since, NULL AS photos
FROM listing
WHERE since < (SELECT oldest FROM bound)
UNION ALL
SELECT 'photos have been waiting', since, photos
FROM waiting
WHERE photos > 0
