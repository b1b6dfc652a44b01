-- purpose: a photo has as many garments as its row says, numbered from 0, the main one (and only it) first.
-- severity: blocking
WITH found AS (
    SELECT
        image_key, etag, release_id, batch_id,
        count(*) AS found,
        max(garment_index) AS highest_index,
        list(garment_index) FILTER (is_main) AS main_indices,
        max("group") FILTER (is_main) AS main_group
    FROM garments
    GROUP BY ALL
)
SELECT
    images.image_key, images.etag, images.release_id, images.garments, coalesce(found.found, 0) AS found,
    found.highest_index, found.main_indices, images.main_group, found.main_group AS group_of_main
FROM images
LEFT JOIN found USING (image_key, etag, release_id, batch_id)
WHERE images.garments <> coalesce(found.found, 0)
    OR found.highest_index <> found.found - 1
    OR found.main_indices IS DISTINCT FROM CASE WHEN found.found > 0 THEN [0::SMALLINT] END
    OR images.main_group IS DISTINCT FROM found.main_group
