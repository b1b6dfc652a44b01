-- Written by `atelier tables ddl spark` from the declarations; a test keeps it current. What columns
-- mean: docs/data-dictionary.md. Your own warehouse and the live version of the copies are filled in by
-- `atelier tables ddl spark --live`; after a publish, point the copies at the new version the same way.

CREATE DATABASE IF NOT EXISTS atelier;

-- What lies in the catalog, as last listed: one row a photo.
CREATE TABLE IF NOT EXISTS atelier.catalog
USING DELTA
LOCATION 's3://YOUR-BUCKET/warehouse/tables/catalog';

-- The shop's own words on its products, as last delivered: one row a product.
CREATE TABLE IF NOT EXISTS atelier.feed
USING DELTA
LOCATION 's3://YOUR-BUCKET/warehouse/tables/feed';

-- The ledger: one row a photo version and release, written last in a batch. What is here is done.
CREATE TABLE IF NOT EXISTS atelier.images
USING DELTA
LOCATION 's3://YOUR-BUCKET/warehouse/tables/images';

-- One row a detected garment of an image.
CREATE TABLE IF NOT EXISTS atelier.garments_stored
USING DELTA
LOCATION 's3://YOUR-BUCKET/warehouse/tables/garments';

-- The rows of committed batches.
CREATE OR REPLACE VIEW atelier.garments AS
SELECT * FROM atelier.garments_stored
WHERE batch_id IN (SELECT batch_id FROM atelier.images);

-- One row a vector: of a whole image, of a garment or of a generated image. feature = vector * norm.
CREATE TABLE IF NOT EXISTS atelier.embeddings_stored
USING DELTA
LOCATION 's3://YOUR-BUCKET/warehouse/tables/embeddings';

-- The rows of committed batches.
CREATE OR REPLACE VIEW atelier.embeddings AS
SELECT * FROM atelier.embeddings_stored
WHERE batch_id IN (SELECT batch_id FROM atelier.images);

-- One row a generated image; synthetic is always true.
CREATE TABLE IF NOT EXISTS atelier.variants_stored
USING DELTA
LOCATION 's3://YOUR-BUCKET/warehouse/tables/variants';

-- The rows of committed batches.
CREATE OR REPLACE VIEW atelier.variants AS
SELECT * FROM atelier.variants_stored
WHERE batch_id IN (SELECT batch_id FROM atelier.images);

-- Events: one row each time a photo version could not be enriched or was re-admitted; the newest of a photo version counts, whether or not its batch is in `images` (a batch of rejects alone leaves nothing there).
CREATE TABLE IF NOT EXISTS atelier.quarantine
USING DELTA
LOCATION 's3://YOUR-BUCKET/warehouse/tables/quarantine';

-- One row an execution of a job.
CREATE TABLE IF NOT EXISTS atelier.runs
USING DELTA
LOCATION 's3://YOUR-BUCKET/warehouse/tables/runs';

-- One row an index version that was built, with what it was judged by.
CREATE TABLE IF NOT EXISTS atelier.indexes
USING DELTA
LOCATION 's3://YOUR-BUCKET/warehouse/tables/indexes';

-- One row a data check of a run: what `atelier check` found, the newest time it was asked.
CREATE TABLE IF NOT EXISTS atelier.check_results
USING DELTA
LOCATION 's3://YOUR-BUCKET/warehouse/tables/check_results';

-- What a run's photos looked like, as counts and moments that add up: drift compares these, never photos again.
CREATE TABLE IF NOT EXISTS atelier.drift_stats
USING DELTA
LOCATION 's3://YOUR-BUCKET/warehouse/tables/drift_stats';

-- How far each run's photos are from those of the runs before it: one row a run, subject and measure.
CREATE TABLE IF NOT EXISTS atelier.drift_results
USING DELTA
LOCATION 's3://YOUR-BUCKET/warehouse/tables/drift_results';

-- Published copy: what is known of every photo: the row of its current version, read by this snapshot's release, joined with the shop's own words. Start here.
CREATE TABLE IF NOT EXISTS atelier.enriched_published (
    `image_key` string,
    `etag` string,
    `release_id` string,
    `batch_id` string,
    `run_id` string,
    `feature_id` string,
    `product_id` string,
    `bytes` bigint,
    `format` string,
    `width` int,
    `height` int,
    `sha256` string,
    `phash` string,
    `type` string,
    `type_score` float,
    `color` string,
    `color_score` float,
    `brand` string,
    `brand_score` float,
    `pattern` string,
    `pattern_score` float,
    `gender` string,
    `gender_score` float,
    `attributes` array<struct<head: string, label: string, score: float>>,
    `color_measured` string,
    `color_measured_share` float,
    `color_agrees` boolean,
    `caption` string,
    `caption_score` float,
    `garments` smallint,
    `main_group` string,
    `fetch_ms` float,
    `decode_ms` float,
    `model_ms` float,
    `enriched_at` timestamp,
    `catalog_modified_at` timestamp,
    `feed_brand` string,
    `feed_type` string,
    `feed_color` string,
    `feed_gender` string,
    `feed_title` string,
    `feed_price` double,
    `type_folder` string
)
USING PARQUET
PARTITIONED BY (type_folder)
LOCATION 's3://YOUR-BUCKET/warehouse/published/versions/CURRENT-VERSION/enriched';

MSCK REPAIR TABLE atelier.enriched_published;

-- Published copy: a product's photos agreed into one row: each head by a vote of the photos weighted by their scores. The rule is `vote` in models/agreement.py. `atelier classify test --by-product` measures a head on products with all its probabilities, which the tables do not keep.
CREATE TABLE IF NOT EXISTS atelier.products_published (
    `product_id` string,
    `photos` bigint,
    `type` string,
    `type_score` double,
    `type_photos` bigint,
    `color` string,
    `color_score` double,
    `color_photos` bigint,
    `brand` string,
    `brand_score` double,
    `brand_photos` bigint,
    `pattern` string,
    `pattern_score` double,
    `pattern_photos` bigint,
    `gender` string,
    `gender_score` double,
    `gender_photos` bigint,
    `caption` string,
    `caption_score` float,
    `best_image_key` string,
    `feed_brand` string,
    `feed_type` string,
    `feed_color` string,
    `feed_gender` string,
    `feed_title` string,
    `feed_price` double,
    `type_folder` string
)
USING PARQUET
PARTITIONED BY (type_folder)
LOCATION 's3://YOUR-BUCKET/warehouse/published/versions/CURRENT-VERSION/products';

MSCK REPAIR TABLE atelier.products_published;
