-- purpose: which colors does each garment type come in, by its share of the photos?
-- columns:
--   type: garment type
--   color: color of the whole photo's main item
--   photos: photos of that type and color
--   share: of the type's photos whose color was answered, 0 to 1
SELECT type, color, count(*) AS photos, count(*) / sum(count(*)) OVER (PARTITION BY type) AS share
FROM enriched
WHERE type IS NOT NULL AND color IS NOT NULL
GROUP BY type, color
ORDER BY type, photos DESC, color;
