-- purpose: for which garment types do the heads abstain most? Where more labelled photos would help.
-- columns:
--   head: the head
--   type: garment type the type head gave; null where that abstained too
--   photos: photos the head looked at
--   abstained_share: share of them without a label, 0 to 1
WITH types AS (
    SELECT image_key, type FROM enriched
)
SELECT
    answers.head,
    types.type,
    count(*) AS photos,
    count(*) FILTER (answers.label IS NULL) / count(*) AS abstained_share
FROM answers
JOIN types USING (image_key)
GROUP BY answers.head, types.type
ORDER BY abstained_share DESC, photos DESC, answers.head, types.type;
