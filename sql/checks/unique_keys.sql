-- purpose: each table's key is unique among the rows that count. Big tables: for this snapshot's release; earlier
--   releases were checked when they were the current one.
-- severity: blocking
WITH release AS (
    SELECT release_id FROM this_snapshot
), repeated AS (
    SELECT 'catalog' AS table_name, {'image_key': image_key}::JSON AS key, count(*) AS times
    FROM "catalog" GROUP BY image_key HAVING count(*) > 1
    UNION ALL
    SELECT 'feed', {'product_id': product_id}::JSON, count(*)
    FROM feed GROUP BY product_id HAVING count(*) > 1
    UNION ALL
    SELECT 'images', {'image_key': image_key, 'etag': etag, 'release_id': release_id}::JSON, count(*)
    FROM images SEMI JOIN release USING (release_id)
    GROUP BY image_key, etag, release_id HAVING count(*) > 1
    UNION ALL
    SELECT
        'garments',
        {'image_key': image_key, 'etag': etag, 'release_id': release_id, 'garment_index': garment_index}::JSON,
        count(*)
    FROM garments SEMI JOIN release USING (release_id)
    GROUP BY image_key, etag, release_id, garment_index HAVING count(*) > 1
    UNION ALL
    SELECT
        'embeddings',
        {
            'image_key': image_key, 'etag': etag, 'release_id': release_id, 'kind': kind,
            'garment_index': garment_index, 'generator': generator
        }::JSON,
        count(*)
    FROM embeddings SEMI JOIN release USING (release_id)
    GROUP BY image_key, etag, release_id, kind, garment_index, generator HAVING count(*) > 1
    UNION ALL
    SELECT
        'variants',
        {
            'image_key': image_key, 'etag': etag, 'release_id': release_id, 'generator': generator,
            'garment_index': garment_index
        }::JSON,
        count(*)
    FROM variants SEMI JOIN release USING (release_id)
    GROUP BY image_key, etag, release_id, generator, garment_index HAVING count(*) > 1
    UNION ALL
    SELECT 'quarantine', {'image_key': image_key, 'etag': etag, 'batch_id': batch_id}::JSON, count(*)
    FROM quarantine GROUP BY image_key, etag, batch_id HAVING count(*) > 1
    UNION ALL
    SELECT 'runs', {'batch_id': batch_id}::JSON, count(*)
    FROM runs GROUP BY batch_id HAVING count(*) > 1
    UNION ALL
    SELECT 'indexes', {'batch_id': batch_id}::JSON, count(*)
    FROM indexes GROUP BY batch_id HAVING count(*) > 1
    UNION ALL
    SELECT 'check_results', {'batch_id': batch_id, 'name': name}::JSON, count(*)
    FROM check_results GROUP BY batch_id, name HAVING count(*) > 1
    UNION ALL
    SELECT 'drift_stats', {'batch_id': batch_id, 'subject': subject, 'measure': measure}::JSON, count(*)
    FROM drift_stats GROUP BY batch_id, subject, measure HAVING count(*) > 1
    UNION ALL
    SELECT 'drift_results', {'batch_id': batch_id, 'subject': subject, 'measure': measure}::JSON, count(*)
    FROM drift_results GROUP BY batch_id, subject, measure HAVING count(*) > 1
)
SELECT * FROM repeated
