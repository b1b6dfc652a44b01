-- purpose: every garment, vector and variant of a committed batch belongs to a photo of that batch.
-- severity: blocking
WITH rows_of AS (
    SELECT 'garments' AS table_name, image_key, etag, release_id, batch_id, garment_index FROM garments
    UNION ALL
    SELECT 'embeddings', image_key, etag, release_id, batch_id, garment_index FROM embeddings
    UNION ALL
    SELECT 'variants', image_key, etag, release_id, batch_id, garment_index FROM variants
)
SELECT * FROM rows_of
ANTI JOIN images USING (image_key, etag, release_id, batch_id)
