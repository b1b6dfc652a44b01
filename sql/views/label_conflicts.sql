-- purpose: photos whose predicted label is not what the shop's feed says. Spelling aside: case, spaces, punctuation.
-- grain: one row a photo and head with both a label and a word in the feed
-- columns:
--   image_key: key of the photo under the catalog root
--   product_id: product the photo shows
--   head: type, color, brand or gender
--   feed_label: what the feed says
--   label: what the head answered
--   score: probability of that label
--   feed_label_known: whether the head gives the feed's word to any photo; else it may not know the word at all
-- needs: enriched
WITH said AS (
    SELECT
        image_key,
        product_id,
        unnest([
            {'head': 'type', 'feed_label': feed_type, 'label': type, 'score': type_score},
            {'head': 'color', 'feed_label': feed_color, 'label': color, 'score': color_score},
            {'head': 'brand', 'feed_label': feed_brand, 'label': brand, 'score': brand_score},
            {'head': 'gender', 'feed_label': feed_gender, 'label': gender, 'score': gender_score}
        ], recursive := true)
    FROM enriched
), spelled AS (
    SELECT
        *,
        regexp_replace(lower(feed_label), '[^\pL\pN]+', '', 'g') AS feed_word,
        regexp_replace(lower(label), '[^\pL\pN]+', '', 'g') AS word
    FROM said
    WHERE label IS NOT NULL
), known AS (
    SELECT DISTINCT head, word FROM spelled
)
SELECT
    spelled.image_key,
    spelled.product_id,
    spelled.head,
    spelled.feed_label,
    spelled.label,
    spelled.score,
    known.word IS NOT NULL AS feed_label_known
FROM spelled
LEFT JOIN known ON known.head = spelled.head AND known.word = spelled.feed_word
WHERE spelled.feed_word <> '' AND spelled.feed_word <> spelled.word
    -- a head that answers "none of my labels" only contradicts a feed word that is one of them
    AND NOT (spelled.label = '(unknown)' AND known.word IS NULL)
