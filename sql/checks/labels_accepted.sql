-- purpose: every label of this snapshot's release is one of its head's labels, as the release's cards list them. Passes
--   where the release is not at hand.
-- severity: blocking
WITH answered AS (
    SELECT
        'images' AS table_name, release_id, image_key,
        unnest([
            {'head': 'type', 'label': type}, {'head': 'color', 'label': color}, {'head': 'brand', 'label': brand},
            {'head': 'pattern', 'label': pattern}, {'head': 'gender', 'label': gender}
        ] || coalesce(list_transform(attributes, lambda a: {'head': a.head, 'label': a.label}), [])) AS answer
    FROM images
    UNION ALL
    SELECT
        'garments', release_id, image_key,
        unnest([
            {'head': 'type', 'label': type}, {'head': 'color', 'label': color}, {'head': 'brand', 'label': brand},
            {'head': 'pattern', 'label': pattern}, {'head': 'gender', 'label': gender}
        ] || coalesce(list_transform(attributes, lambda a: {'head': a.head, 'label': a.label}), []))
    FROM garments
), given AS (
    SELECT table_name, answer.head AS head, answer.label AS label, min(image_key) AS image_key, count(*) AS times
    FROM answered
    SEMI JOIN this_snapshot USING (release_id)
    WHERE answer.label IS NOT NULL
    GROUP BY ALL
)
SELECT given.*
FROM given
ANTI JOIN accepted_labels USING (head, label)
WHERE EXISTS (SELECT 1 FROM accepted_labels)
