-- purpose: every probability and share lies between 0 and 1 and is a number.
-- severity: blocking
WITH of_images AS (
    UNPIVOT (
        SELECT
            image_key, etag, release_id, type_score, color_score, brand_score, pattern_score, gender_score,
            color_measured_share, caption_score
        FROM images
    ) ON COLUMNS(* EXCLUDE (image_key, etag, release_id)) INTO NAME column_name VALUE found
), of_garments AS (
    UNPIVOT (
        SELECT
            image_key, etag, release_id, score, type_score, color_score, brand_score, pattern_score, gender_score,
            color_measured_share
        FROM garments
    ) ON COLUMNS(* EXCLUDE (image_key, etag, release_id)) INTO NAME column_name VALUE found
), of_variants AS (
    UNPIVOT (
        SELECT image_key, etag, release_id, target_probability, color_distance FROM variants
    ) ON COLUMNS(* EXCLUDE (image_key, etag, release_id)) INTO NAME column_name VALUE found
), of_attributes AS (
    SELECT image_key, etag, release_id, unnest(attributes).score AS found FROM images
    UNION ALL
    SELECT image_key, etag, release_id, unnest(attributes).score FROM garments
), of_indexes AS (
    UNPIVOT (
        SELECT index_version, recall_at_10, min_shard_recall_at_10 FROM indexes
    ) ON COLUMNS(* EXCLUDE (index_version)) INTO NAME column_name VALUE found
), found AS (
    SELECT 'images' AS table_name, image_key, etag, release_id, column_name, found::DOUBLE AS found FROM of_images
    UNION ALL
    SELECT 'garments', image_key, etag, release_id, column_name, found FROM of_garments
    UNION ALL
    SELECT 'variants', image_key, etag, release_id, column_name, found FROM of_variants
    UNION ALL
    SELECT 'images or garments', image_key, etag, release_id, 'attributes', found FROM of_attributes
    UNION ALL
    SELECT 'indexes', index_version, NULL, NULL, column_name, found FROM of_indexes
)
SELECT * FROM found
WHERE NOT (found BETWEEN 0 AND 1) -- NaN sorts behind every number, so it is outside
