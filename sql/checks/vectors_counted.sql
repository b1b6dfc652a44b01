-- purpose: a photo has exactly one vector of the whole image and one of each of its garments.
-- severity: blocking
WITH found AS (
    SELECT
        image_key, etag, release_id, batch_id,
        count(*) FILTER (kind = 'image' AND garment_index = -1) AS of_image,
        count(*) FILTER (kind = 'garment') AS of_garments,
        count(DISTINCT garment_index) FILTER (
            kind = 'garment' AND garment_index >= 0
        ) AS different_garments,
        max(garment_index) FILTER (kind = 'garment') AS highest_index
    FROM embeddings
    GROUP BY ALL
)
SELECT
    images.image_key, images.etag, images.release_id, images.garments, coalesce(of_image, 0) AS vectors_of_image,
    coalesce(of_garments, 0) AS vectors_of_garments
FROM images
LEFT JOIN found USING (image_key, etag, release_id, batch_id)
WHERE coalesce(of_image, 0) <> 1
    OR coalesce(of_garments, 0) <> images.garments
    OR different_garments <> images.garments
    OR highest_index >= images.garments
