-- purpose: every product of the feed that has photos has one that could be enriched or is still pending.
-- severity: warning
SELECT
    "catalog".product_id, count(*) AS photos, list(DISTINCT quarantined.reason) AS reasons
FROM "catalog"
LEFT JOIN quarantined USING (image_key, etag)
WHERE "catalog".product_id IS NOT NULL
GROUP BY "catalog".product_id
HAVING count(*) = count(quarantined.image_key)
