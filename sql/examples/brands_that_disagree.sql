-- purpose: for which brands do the photos disagree with the feed most often? Wrong photos, or a feed to clean up.
-- columns:
--   brand: brand as the feed writes it
--   photos: enriched photos of it
--   conflicts: photos with at least one label that is not the feed's
--   share: conflicts / photos, 0 to 1
--   heads: what they disagree about
WITH conflicts AS (
    SELECT image_key, list(head ORDER BY head) AS heads FROM label_conflicts GROUP BY image_key
)
SELECT
    feed_brand AS brand,
    count(*) AS photos,
    count(conflicts.image_key) AS conflicts,
    count(conflicts.image_key) / count(*) AS share,
    list_sort(list_distinct(flatten(list(conflicts.heads) FILTER (conflicts.heads IS NOT NULL)))) AS heads
FROM enriched
LEFT JOIN conflicts USING (image_key)
WHERE feed_brand IS NOT NULL
GROUP BY feed_brand
HAVING count(conflicts.image_key) > 0
ORDER BY share DESC, conflicts DESC, brand;
