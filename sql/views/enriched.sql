-- purpose: what is known of every photo: the row of its current version, read by this snapshot's release, joined with
--   the shop's own words. Start here.
-- grain: one row a photo that is in the catalog and enriched at its current version
-- columns:
--   images.*: as in table images; product_id is the catalog's where it names one
--   catalog_modified_at: last modified, as the object store says
--   feed_brand: brand in the feed
--   feed_type: garment type in the feed
--   feed_color: color in the feed
--   feed_gender: gender in the feed
--   feed_title: title in the feed
--   feed_price: price in the feed, in the shop's currency
SELECT
    images.* REPLACE (coalesce("catalog".product_id, images.product_id) AS product_id),
    "catalog".modified_at AS catalog_modified_at,
    feed.brand AS feed_brand,
    feed.type AS feed_type,
    feed.color AS feed_color,
    feed.gender AS feed_gender,
    feed.title AS feed_title,
    feed.price AS feed_price
FROM images
JOIN "catalog" USING (image_key, etag)
LEFT JOIN feed ON feed.product_id = coalesce("catalog".product_id, images.product_id)
WHERE images.release_id = (SELECT release_id FROM this_snapshot)
