-- purpose: which kinds of garments appear in one photo? Material for "complete the look".
-- columns:
--   one: group of a garment
--   other: group of another garment of the same photo
--   photos: photos that show both
WITH shown AS (
    SELECT DISTINCT image_key, "group" FROM garments_current
)
SELECT a."group" AS one, b."group" AS other, count(*) AS photos
FROM shown AS a
JOIN shown AS b ON a.image_key = b.image_key AND a."group" < b."group"
GROUP BY one, other
ORDER BY photos DESC, one, other;
