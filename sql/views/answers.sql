-- purpose: what every head said of every photo, one answer a row: the long form of the label columns.
-- grain: one row a photo of `enriched` and answer; heads that may give several labels have several rows
-- columns:
--   image_key: key of the photo under the catalog root
--   product_id: product the photo shows
--   head: type, color, brand, pattern, gender, or a further head of the release
--   label: what it answered; null where it abstained; (unknown) where an open head took it for none of its labels
--   score: probability of the label, or of the best one where it abstained
-- needs: enriched
WITH asked AS (
    SELECT
        image_key,
        product_id,
        unnest(
            [
                {'head': 'type', 'label': type, 'score': type_score},
                {'head': 'color', 'label': color, 'score': color_score},
                {'head': 'brand', 'label': brand, 'score': brand_score},
                {'head': 'pattern', 'label': pattern, 'score': pattern_score},
                {'head': 'gender', 'label': gender, 'score': gender_score}
            ] || coalesce(attributes, [])
        ) AS answer
    FROM enriched
)
SELECT image_key, product_id, answer.head AS head, answer.label AS label, answer.score AS score
FROM asked
WHERE answer.label IS NOT NULL OR answer.score IS NOT NULL -- a head that the release does not have says nothing
