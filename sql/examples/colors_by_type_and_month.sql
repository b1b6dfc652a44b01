-- purpose: which colors does each garment type come in, month by month, by its share of the photos?
-- columns:
--   month: month in which the photo came into the catalog, UTC
--   type: garment type
--   color: color of the whole photo's main item
--   photos: photos of that month, type and color
--   share: of the month's photos of that type whose color was answered, 0 to 1
SELECT
    date_trunc('month', coalesce(catalog_modified_at, enriched_at))::DATE AS month,
    type,
    color,
    count(*) AS photos,
    count(*) / sum(count(*)) OVER (PARTITION BY month, type) AS share
FROM enriched
WHERE type IS NOT NULL AND color IS NOT NULL
GROUP BY month, type, color
ORDER BY month DESC, type, photos DESC, color;
