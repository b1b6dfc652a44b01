-- Written by `atelier tables ddl athena` from the declarations; a test keeps it current. What columns
-- mean: docs/data-dictionary.md. Your own warehouse and the live version of the copies are filled in by
-- `atelier tables ddl athena --live`; after a publish, point the copies at the new version the same way.

CREATE DATABASE IF NOT EXISTS atelier;

-- What lies in the catalog, as last listed: one row a photo.
CREATE EXTERNAL TABLE IF NOT EXISTS atelier.catalog
LOCATION 's3://YOUR-BUCKET/warehouse/tables/catalog/'
TBLPROPERTIES ('table_type' = 'DELTA');

-- The shop's own words on its products, as last delivered: one row a product.
CREATE EXTERNAL TABLE IF NOT EXISTS atelier.feed
LOCATION 's3://YOUR-BUCKET/warehouse/tables/feed/'
TBLPROPERTIES ('table_type' = 'DELTA');

-- The ledger: one row a photo version and release, written last in a batch. What is here is done.
CREATE EXTERNAL TABLE IF NOT EXISTS atelier.images
LOCATION 's3://YOUR-BUCKET/warehouse/tables/images/'
TBLPROPERTIES ('table_type' = 'DELTA');

-- One row a detected garment of an image.
CREATE EXTERNAL TABLE IF NOT EXISTS atelier.garments_stored
LOCATION 's3://YOUR-BUCKET/warehouse/tables/garments/'
TBLPROPERTIES ('table_type' = 'DELTA');

-- The rows of committed batches.
CREATE OR REPLACE VIEW atelier.garments AS
SELECT * FROM atelier.garments_stored
WHERE batch_id IN (SELECT batch_id FROM atelier.images);

-- One row a vector: of a whole image, of a garment or of a generated image. feature = vector * norm.
CREATE EXTERNAL TABLE IF NOT EXISTS atelier.embeddings_stored
LOCATION 's3://YOUR-BUCKET/warehouse/tables/embeddings/'
TBLPROPERTIES ('table_type' = 'DELTA');

-- The rows of committed batches.
CREATE OR REPLACE VIEW atelier.embeddings AS
SELECT * FROM atelier.embeddings_stored
WHERE batch_id IN (SELECT batch_id FROM atelier.images);

-- One row a generated image; synthetic is always true.
CREATE EXTERNAL TABLE IF NOT EXISTS atelier.variants_stored
LOCATION 's3://YOUR-BUCKET/warehouse/tables/variants/'
TBLPROPERTIES ('table_type' = 'DELTA');

-- The rows of committed batches.
CREATE OR REPLACE VIEW atelier.variants AS
SELECT * FROM atelier.variants_stored
WHERE batch_id IN (SELECT batch_id FROM atelier.images);

-- Events: one row each time a photo version could not be enriched or was re-admitted; the newest of a photo version counts, whether or not its batch is in `images` (a batch of rejects alone leaves nothing there).
CREATE EXTERNAL TABLE IF NOT EXISTS atelier.quarantine
LOCATION 's3://YOUR-BUCKET/warehouse/tables/quarantine/'
TBLPROPERTIES ('table_type' = 'DELTA');

-- One row an execution of a job.
CREATE EXTERNAL TABLE IF NOT EXISTS atelier.runs
LOCATION 's3://YOUR-BUCKET/warehouse/tables/runs/'
TBLPROPERTIES ('table_type' = 'DELTA');

-- One row an index version that was built, with what it was judged by.
CREATE EXTERNAL TABLE IF NOT EXISTS atelier.indexes
LOCATION 's3://YOUR-BUCKET/warehouse/tables/indexes/'
TBLPROPERTIES ('table_type' = 'DELTA');

-- One row a data check of a run: what `atelier check` found, the newest time it was asked.
CREATE EXTERNAL TABLE IF NOT EXISTS atelier.check_results
LOCATION 's3://YOUR-BUCKET/warehouse/tables/check_results/'
TBLPROPERTIES ('table_type' = 'DELTA');

-- What a run's photos looked like, as counts and moments that add up: drift compares these, never photos again.
CREATE EXTERNAL TABLE IF NOT EXISTS atelier.drift_stats
LOCATION 's3://YOUR-BUCKET/warehouse/tables/drift_stats/'
TBLPROPERTIES ('table_type' = 'DELTA');

-- How far each run's photos are from those of the runs before it: one row a run, subject and measure.
CREATE EXTERNAL TABLE IF NOT EXISTS atelier.drift_results
LOCATION 's3://YOUR-BUCKET/warehouse/tables/drift_results/'
TBLPROPERTIES ('table_type' = 'DELTA');

-- Published copy: what is known of every photo: the row of its current version, read by this snapshot's release, joined with the shop's own words. Start here.
CREATE EXTERNAL TABLE IF NOT EXISTS atelier.enriched_published (
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
    `feed_price` double
)
PARTITIONED BY (`type_folder` string)
STORED AS PARQUET
LOCATION 's3://YOUR-BUCKET/warehouse/published/versions/CURRENT-VERSION/enriched/';

MSCK REPAIR TABLE atelier.enriched_published;

-- Published copy: a product's photos agreed into one row: each head by a vote of the photos weighted by their scores. The rule is `vote` in models/agreement.py. `atelier classify test --by-product` measures a head on products with all its probabilities, which the tables do not keep.
CREATE EXTERNAL TABLE IF NOT EXISTS atelier.products_published (
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
    `feed_price` double
)
PARTITIONED BY (`type_folder` string)
STORED AS PARQUET
LOCATION 's3://YOUR-BUCKET/warehouse/published/versions/CURRENT-VERSION/products/';

MSCK REPAIR TABLE atelier.products_published;
