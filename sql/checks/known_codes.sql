-- purpose: columns with a fixed vocabulary hold nothing else.
-- severity: blocking
WITH found AS (
    SELECT 'garments.group' AS column_name, "group" AS value, any_value(image_key) AS image_key, count(*) AS times
    FROM garments GROUP BY "group"
    UNION ALL
    SELECT 'images.main_group', main_group, any_value(image_key), count(*)
    FROM images WHERE main_group IS NOT NULL GROUP BY main_group
    UNION ALL
    SELECT 'embeddings.kind', kind, any_value(image_key), count(*)
    FROM embeddings GROUP BY kind
    UNION ALL
    SELECT 'quarantine.reason', reason, any_value(image_key), count(*)
    FROM quarantine GROUP BY reason
    UNION ALL
    SELECT 'check_results.severity', severity, NULL, count(*)
    FROM check_results GROUP BY severity
    UNION ALL
    SELECT 'drift_results.measure', measure, NULL, count(*)
    FROM drift_results GROUP BY measure
), allowed AS (
    SELECT
        unnest(['garments.group', 'images.main_group']) AS column_name,
        ['upper-body', 'lower-body', 'full-body', 'footwear', 'bag', 'headwear', 'accessory'] AS codes
    UNION ALL
    SELECT 'embeddings.kind', ['image', 'garment', 'variant']
    UNION ALL
    SELECT 'check_results.severity', ['blocking', 'warning']
    UNION ALL
    SELECT 'drift_results.measure', ['labels', 'scores', 'vectors']
    UNION ALL
    SELECT
        'quarantine.reason',
        [
            'empty', 'not_an_image', 'truncated', 'corrupt', 'too_many_bytes', 'too_many_pixels', 'too_small',
            'unsupported', 'decode_timeout', 'worker_killed', 'fetch_failed', 'fetch_timeout', 'vanished', 'changed',
            'readmitted'
        ]
)
SELECT found.*
FROM found
JOIN allowed USING (column_name)
WHERE NOT list_contains(allowed.codes, found.value)
