-- purpose: photos belong to a product, and the product is in the feed.
-- severity: warning
SELECT "catalog".image_key, "catalog".product_id
FROM "catalog"
ANTI JOIN feed USING (product_id)
WHERE EXISTS (SELECT 1 FROM feed) -- a catalog without a feed is fine
