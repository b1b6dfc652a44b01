-- purpose: a product's photos agreed into one row: each head by a vote of the photos weighted by their scores.
--   The rule is `vote` in models/agreement.py. `atelier classify test --by-product` measures a head on products with
--   all its probabilities, which the tables do not keep.
-- grain: one row a product with at least one photo in `enriched`
-- columns:
--   product_id: the article
--   photos: enriched photos of it
--   type: the label with the largest sum of scores over the photos (of equal ones the last by name); null where every
--     photo abstained
--   type_score: that sum over the number of photos that answered, so that a photo that says otherwise counts as 0
--   type_photos: photos that answered, of which some may have said otherwise
--   color: as type
--   color_score: as type_score
--   color_photos: as type_photos
--   brand: as type
--   brand_score: as type_score
--   brand_photos: as type_photos
--   pattern: as type
--   pattern_score: as type_score
--   pattern_photos: as type_photos
--   gender: as type
--   gender_score: as type_score
--   gender_photos: as type_photos
--   caption: caption of the photo whose caption scores best
--   caption_score: its score
--   best_image_key: that photo; without captions, the one whose type scores best
--   feed_brand: brand in the feed
--   feed_type: garment type in the feed
--   feed_color: color in the feed
--   feed_gender: gender in the feed
--   feed_title: title in the feed
--   feed_price: price in the feed, in the shop's currency
-- needs: enriched, answers
WITH tally AS (
    -- decimals, because a sum of floats depends on its order and could break a tie differently each time
    SELECT product_id, head, label, sum(score::DECIMAL(9, 6)) AS weight, count(*) AS votes
    FROM answers
    WHERE label IS NOT NULL AND head IN ('type', 'color', 'brand', 'pattern', 'gender')
    GROUP BY ALL
), agreed AS (
    SELECT
        product_id,
        head,
        max({'weight': weight, 'label': label}) AS winner, -- structs compare field by field: the weight first
        sum(votes) AS photos
    FROM tally
    GROUP BY ALL
), wide AS (
    SELECT
        product_id,
        max(winner.label) FILTER (head = 'type') AS type,
        max(winner.weight / photos) FILTER (head = 'type') AS type_score,
        max(photos) FILTER (head = 'type') AS type_photos,
        max(winner.label) FILTER (head = 'color') AS color,
        max(winner.weight / photos) FILTER (head = 'color') AS color_score,
        max(photos) FILTER (head = 'color') AS color_photos,
        max(winner.label) FILTER (head = 'brand') AS brand,
        max(winner.weight / photos) FILTER (head = 'brand') AS brand_score,
        max(photos) FILTER (head = 'brand') AS brand_photos,
        max(winner.label) FILTER (head = 'pattern') AS pattern,
        max(winner.weight / photos) FILTER (head = 'pattern') AS pattern_score,
        max(photos) FILTER (head = 'pattern') AS pattern_photos,
        max(winner.label) FILTER (head = 'gender') AS gender,
        max(winner.weight / photos) FILTER (head = 'gender') AS gender_score,
        max(photos) FILTER (head = 'gender') AS gender_photos
    FROM agreed
    GROUP BY product_id
), photos AS (
    SELECT
        product_id,
        count(*) AS photos,
        max({
            'score': coalesce(caption_score, -1), 'type_score': coalesce(type_score, -1),
            'image_key': image_key, 'caption': caption
        }) AS best,
        any_value(feed_brand) AS feed_brand,
        any_value(feed_type) AS feed_type,
        any_value(feed_color) AS feed_color,
        any_value(feed_gender) AS feed_gender,
        any_value(feed_title) AS feed_title,
        any_value(feed_price) AS feed_price
    FROM enriched
    WHERE product_id IS NOT NULL
    GROUP BY product_id
)
SELECT
    product_id,
    photos.photos,
    wide.type, wide.type_score, coalesce(wide.type_photos, 0)::BIGINT AS type_photos,
    wide.color, wide.color_score, coalesce(wide.color_photos, 0)::BIGINT AS color_photos,
    wide.brand, wide.brand_score, coalesce(wide.brand_photos, 0)::BIGINT AS brand_photos,
    wide.pattern, wide.pattern_score, coalesce(wide.pattern_photos, 0)::BIGINT AS pattern_photos,
    wide.gender, wide.gender_score, coalesce(wide.gender_photos, 0)::BIGINT AS gender_photos,
    best.caption AS caption,
    nullif(best.score, -1) AS caption_score,
    best.image_key AS best_image_key,
    feed_brand, feed_type, feed_color, feed_gender, feed_title, feed_price
FROM photos
LEFT JOIN wide USING (product_id)
