-- purpose: the garments of every enriched photo, with the product they belong to and the photo's size.
-- grain: one row a garment of a photo in `enriched`
-- columns:
--   garments.*: as in table garments
--   product_id: product the photo shows
--   width: width of the upright photo, pixels
--   height: height of the upright photo, pixels
--   area_share: share of the photo that the box covers, 0 to 1
-- needs: enriched
SELECT
    garments.*,
    enriched.product_id,
    enriched.width,
    enriched.height,
    (garments.x2 - garments.x1) * (garments.y2 - garments.y1) / (enriched.width::DOUBLE * enriched.height) AS area_share
FROM garments
JOIN enriched USING (image_key, etag, release_id, batch_id)
