-- purpose: which pairs of products show the same or nearly the same photo? Perhaps one article listed twice.
-- columns:
--   product_id: one product
--   other_product_id: the other
--   photos: photos of the first that repeat one of the second
--   kinds: same_bytes, same_look, near_look
--   example: one of those photos
--   example_of: the photo it repeats
SELECT
    product_id,
    of_product_id AS other_product_id,
    count(*) AS photos,
    list(DISTINCT kind ORDER BY kind) AS kinds,
    min(image_key) AS example,
    arg_min(of_image_key, image_key) AS example_of
FROM duplicates
WHERE other_product AND product_id IS NOT NULL AND of_product_id IS NOT NULL
GROUP BY product_id, of_product_id
ORDER BY photos DESC, product_id, other_product_id;
