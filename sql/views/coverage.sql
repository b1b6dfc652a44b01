-- purpose: how many photos each head answers for, and how sure it is.
-- grain: one row a head of this snapshot's release
-- columns:
--   head: type, color, brand, pattern, gender, or a further head of the release
--   photos: enriched photos that the head looked at
--   answered: photos with a label
--   abstained: photos without: the best label stayed below the head's threshold
--   answered_share: answered / photos, 0 to 1
--   abstained_share: abstained / photos, 0 to 1
--   labels: different labels given
--   mean_score: mean probability of the best label, over all photos
-- needs: answers
WITH photos AS (
    SELECT head, image_key, count(label) > 0 AS answered, max(score) AS score
    FROM answers
    GROUP BY head, image_key
), labels AS (
    SELECT head, count(DISTINCT label) AS labels FROM answers GROUP BY head
)
SELECT
    photos.head,
    count(*) AS photos,
    count(*) FILTER (answered) AS answered,
    count(*) FILTER (NOT answered) AS abstained,
    count(*) FILTER (answered) / count(*) AS answered_share,
    count(*) FILTER (NOT answered) / count(*) AS abstained_share,
    any_value(labels.labels) AS labels,
    avg(score) AS mean_score
FROM photos
JOIN labels USING (head)
GROUP BY photos.head
