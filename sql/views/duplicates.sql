-- purpose: photos that repeat an earlier one: the same bytes, the same look, or nearly (perceptual hashes within 3 of 64
--   bits). "Earlier" is by key, so that of a set of copies all but one are listed.
-- grain: one row a photo of `enriched` that repeats another one; the strongest kind
-- columns:
--   image_key: the repeating photo
--   product_id: product it shows
--   kind: same_bytes, same_look (equal perceptual hash) or near_look
--   distance: bits in which the perceptual hashes differ, 0 to 3
--   of_image_key: the photo that it repeats: of all it comes close to, the first by key
--   of_product_id: product that one shows
--   other_product: whether the two are photos of different products
-- needs: enriched
WITH photos AS (
    SELECT image_key, product_id, sha256, try_cast('0x' || phash AS UBIGINT) AS hash
    FROM enriched
), looks AS MATERIALIZED (
    SELECT hash, min(image_key) AS first_key FROM photos WHERE hash IS NOT NULL GROUP BY hash
), blocks AS (
    -- 64 bits in 5 blocks: at most 3 differing bits leave at least 2 blocks alike, so two hashes that are near share
    -- one of the 10 pairs of blocks. Only hashes that share about 26 bits are ever compared.
    SELECT hash, first_key, [hash & 8191, (hash >> 13) & 8191, (hash >> 26) & 8191, (hash >> 39) & 8191, hash >> 52] AS b
    FROM looks
), keyed AS (
    SELECT
        hash,
        first_key,
        unnest([
            (0, b[1], b[2]), (1, b[1], b[3]), (2, b[1], b[4]), (3, b[1], b[5]), (4, b[2], b[3]),
            (5, b[2], b[4]), (6, b[2], b[5]), (7, b[3], b[4]), (8, b[3], b[5]), (9, b[4], b[5])
        ]) AS bucket
    FROM blocks
), near AS (
    SELECT
        this.hash,
        min({'key': other.first_key, 'distance': bit_count(xor(this.hash, other.hash))}) AS found
    FROM keyed AS this
    JOIN keyed AS other ON this.bucket = other.bucket AND other.first_key < this.first_key
    WHERE bit_count(xor(this.hash, other.hash)) <= 3
    GROUP BY this.hash
), matched AS (
    SELECT
        photos.image_key,
        photos.product_id,
        min(photos.image_key) OVER (PARTITION BY photos.sha256) AS bytes_key,
        looks.first_key AS look_key,
        near.found.key AS near_key,
        near.found.distance AS near_distance
    FROM photos
    LEFT JOIN looks USING (hash)
    LEFT JOIN near USING (hash)
), named AS (
    SELECT
        image_key,
        product_id,
        CASE
            WHEN bytes_key < image_key THEN 'same_bytes'
            WHEN look_key < image_key THEN 'same_look'
            ELSE 'near_look'
        END AS kind,
        CASE WHEN bytes_key < image_key OR look_key < image_key THEN 0 ELSE near_distance END AS distance,
        CASE
            WHEN bytes_key < image_key THEN bytes_key
            WHEN look_key < image_key THEN look_key
            ELSE near_key
        END AS of_image_key
    FROM matched
)
SELECT
    named.image_key,
    named.product_id,
    named.kind,
    named.distance,
    named.of_image_key,
    photos.product_id AS of_product_id,
    named.product_id IS DISTINCT FROM photos.product_id AS other_product
FROM named
JOIN photos ON photos.image_key = named.of_image_key
