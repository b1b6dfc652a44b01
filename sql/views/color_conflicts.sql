-- purpose: photos whose learned color is not the color measured in the pixels of the foreground.
-- grain: one row a photo of `enriched` with color_agrees = false
-- columns:
--   image_key: key of the photo under the catalog root
--   product_id: product the photo shows
--   color: color that the head answered
--   color_score: its probability
--   color_measured: named color nearest to the foreground
--   color_measured_share: share of the foreground that has it
--   feed_color: color in the feed, a third opinion
-- needs: enriched
SELECT image_key, product_id, color, color_score, color_measured, color_measured_share, feed_color
FROM enriched
WHERE NOT color_agrees
