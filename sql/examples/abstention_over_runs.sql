-- purpose: does a head abstain more often than it used to? New kinds of photos, or a release that knows less.
-- columns:
--   run_id: the run
--   enriched_at: when the first of its photos was enriched, UTC
--   head: the head
--   photos: photos of the run that the head looked at
--   abstained_share: share of them without a label, 0 to 1
--   change: less that of the run before, of any release
WITH asked AS (
    SELECT
        run_id,
        enriched_at,
        image_key,
        unnest(
            [
                {'head': 'type', 'label': type, 'score': type_score},
                {'head': 'color', 'label': color, 'score': color_score},
                {'head': 'brand', 'label': brand, 'score': brand_score},
                {'head': 'pattern', 'label': pattern, 'score': pattern_score},
                {'head': 'gender', 'label': gender, 'score': gender_score}
            ] || coalesce(attributes, [])
        ) AS answer
    FROM images
), answered AS (
    SELECT run_id, answer.head AS head, image_key, min(enriched_at) AS enriched_at, count(answer.label) > 0 AS answered
    FROM asked
    WHERE answer.label IS NOT NULL OR answer.score IS NOT NULL
    GROUP BY ALL
), by_run AS (
    SELECT
        run_id,
        min(enriched_at) AS enriched_at,
        head,
        count(*) AS photos,
        count(*) FILTER (NOT answered) / count(*) AS abstained_share
    FROM answered
    GROUP BY run_id, head
)
SELECT
    *,
    abstained_share - lag(abstained_share) OVER (PARTITION BY head ORDER BY enriched_at, run_id) AS change
FROM by_run
ORDER BY head, enriched_at, run_id;
