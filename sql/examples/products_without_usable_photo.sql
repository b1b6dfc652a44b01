-- purpose: which products have photos, but none that could be read? They are missing from search until new photos come.
-- columns:
--   product_id: the article
--   title: title in the feed
--   photos: photos in the catalog
--   reasons: why they are in quarantine
SELECT
    "catalog".product_id,
    any_value(feed.title) AS title,
    count(*) AS photos,
    list(DISTINCT quarantined.reason ORDER BY quarantined.reason) AS reasons
FROM "catalog"
LEFT JOIN quarantined USING (image_key, etag)
LEFT JOIN feed ON feed.product_id = "catalog".product_id
WHERE "catalog".product_id IS NOT NULL
GROUP BY "catalog".product_id
HAVING count(*) = count(quarantined.image_key)
ORDER BY photos DESC, "catalog".product_id;
