-- purpose: no column holds a null that may not: all but those named here. (That vectors are whole, vectors_whole sees.)
-- severity: blocking
WITH of_catalog AS (
    UNPIVOT (
        SELECT count(*) - count(COLUMNS(* EXCLUDE (modified_at, product_id))) FROM "catalog"
    ) ON COLUMNS(*) INTO NAME column_name VALUE nulls
), of_feed AS (
    UNPIVOT (
        SELECT count(*) - count(COLUMNS(* EXCLUDE (brand, type, color, gender, title, price))) FROM feed
    ) ON COLUMNS(*) INTO NAME column_name VALUE nulls
), of_images AS (
    UNPIVOT (
        SELECT count(*) - count(COLUMNS(* EXCLUDE (
                product_id, type, type_score, color, color_score, brand, brand_score, pattern, pattern_score, gender,
                gender_score, attributes, color_measured, color_measured_share, color_agrees, caption, caption_score,
                main_group
            ))) FROM images
    ) ON COLUMNS(*) INTO NAME column_name VALUE nulls
), of_garments AS (
    UNPIVOT (
        SELECT count(*) - count(COLUMNS(* EXCLUDE (
                type, type_score, color, color_score, brand, brand_score, pattern, pattern_score, gender,
                gender_score, attributes, color_measured, color_measured_share, color_agrees
            ))) FROM garments
    ) ON COLUMNS(*) INTO NAME column_name VALUE nulls
), of_embeddings AS (
    UNPIVOT (
        SELECT count(*) - count(COLUMNS(* EXCLUDE (vector, generator))) FROM embeddings
    ) ON COLUMNS(*) INTO NAME column_name VALUE nulls
), of_variants AS (
    UNPIVOT (
        SELECT count(*) - count(COLUMNS(* EXCLUDE (
                seed, target_probability, color_distance, target, generator_id
            ))) FROM variants
    ) ON COLUMNS(*) INTO NAME column_name VALUE nulls
), of_quarantine AS (
    UNPIVOT (
        SELECT count(*) - count(COLUMNS(* EXCLUDE (next_retry_at))) FROM quarantine
    ) ON COLUMNS(*) INTO NAME column_name VALUE nulls
), of_runs AS (
    UNPIVOT (
        SELECT count(*) - count(COLUMNS(* EXCLUDE (release_id, images_per_s, device))) FROM runs
    ) ON COLUMNS(*) INTO NAME column_name VALUE nulls
), of_indexes AS (
    UNPIVOT (
        SELECT count(*) - count(COLUMNS(* EXCLUDE (recall_at_10, min_shard_recall_at_10))) FROM indexes
    ) ON COLUMNS(*) INTO NAME column_name VALUE nulls
), of_check_results AS (
    UNPIVOT (
        SELECT count(*) - count(COLUMNS(*)) FROM check_results
    ) ON COLUMNS(*) INTO NAME column_name VALUE nulls
), of_drift_stats AS (
    UNPIVOT (
        SELECT count(*) - count(COLUMNS(* EXCLUDE (counts, moments, spread_squared))) FROM drift_stats
    ) ON COLUMNS(*) INTO NAME column_name VALUE nulls
), of_drift_results AS (
    UNPIVOT (
        SELECT count(*) - count(COLUMNS(* EXCLUDE (distance, chance, moved))) FROM drift_results
    ) ON COLUMNS(*) INTO NAME column_name VALUE nulls
), found AS (
    SELECT 'catalog' AS table_name, * FROM of_catalog
    UNION ALL
    SELECT 'feed', * FROM of_feed
    UNION ALL
    SELECT 'images', * FROM of_images
    UNION ALL
    SELECT 'garments', * FROM of_garments
    UNION ALL
    SELECT 'embeddings', * FROM of_embeddings
    UNION ALL
    SELECT 'variants', * FROM of_variants
    UNION ALL
    SELECT 'quarantine', * FROM of_quarantine
    UNION ALL
    SELECT 'runs', * FROM of_runs
    UNION ALL
    SELECT 'indexes', * FROM of_indexes
    UNION ALL
    SELECT 'check_results', * FROM of_check_results
    UNION ALL
    SELECT 'drift_stats', * FROM of_drift_stats
    UNION ALL
    SELECT 'drift_results', * FROM of_drift_results
)
SELECT * FROM found
WHERE nulls > 0
