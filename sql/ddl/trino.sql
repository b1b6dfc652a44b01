-- Written by `atelier tables ddl trino` from the declarations; a test keeps it current. What columns
-- mean: docs/data-dictionary.md. Your own warehouse and the live version of the copies are filled in by
-- `atelier tables ddl trino --live`; after a publish, point the copies at the new version the same way.

CREATE SCHEMA IF NOT EXISTS delta.atelier;

CREATE SCHEMA IF NOT EXISTS hive.atelier;

-- What lies in the catalog, as last listed: one row a photo.
CALL delta.system.register_table(schema_name => 'atelier', table_name => 'catalog', table_location => 's3://YOUR-BUCKET/warehouse/tables/catalog');

-- The shop's own words on its products, as last delivered: one row a product.
CALL delta.system.register_table(schema_name => 'atelier', table_name => 'feed', table_location => 's3://YOUR-BUCKET/warehouse/tables/feed');

-- The ledger: one row a photo version and release, written last in a batch. What is here is done.
CALL delta.system.register_table(schema_name => 'atelier', table_name => 'images', table_location => 's3://YOUR-BUCKET/warehouse/tables/images');

-- One row a detected garment of an image.
CALL delta.system.register_table(schema_name => 'atelier', table_name => 'garments_stored', table_location => 's3://YOUR-BUCKET/warehouse/tables/garments');

-- The rows of committed batches.
CREATE OR REPLACE VIEW delta.atelier.garments AS
SELECT * FROM delta.atelier.garments_stored
WHERE batch_id IN (SELECT batch_id FROM delta.atelier.images);

-- One row a vector: of a whole image, of a garment or of a generated image. feature = vector * norm.
CALL delta.system.register_table(schema_name => 'atelier', table_name => 'embeddings_stored', table_location => 's3://YOUR-BUCKET/warehouse/tables/embeddings');

-- The rows of committed batches.
CREATE OR REPLACE VIEW delta.atelier.embeddings AS
SELECT * FROM delta.atelier.embeddings_stored
WHERE batch_id IN (SELECT batch_id FROM delta.atelier.images);

-- One row a generated image; synthetic is always true.
CALL delta.system.register_table(schema_name => 'atelier', table_name => 'variants_stored', table_location => 's3://YOUR-BUCKET/warehouse/tables/variants');

-- The rows of committed batches.
CREATE OR REPLACE VIEW delta.atelier.variants AS
SELECT * FROM delta.atelier.variants_stored
WHERE batch_id IN (SELECT batch_id FROM delta.atelier.images);

-- Events: one row each time a photo version could not be enriched or was re-admitted; the newest of a photo version counts, whether or not its batch is in `images` (a batch of rejects alone leaves nothing there).
CALL delta.system.register_table(schema_name => 'atelier', table_name => 'quarantine', table_location => 's3://YOUR-BUCKET/warehouse/tables/quarantine');

-- One row an execution of a job.
CALL delta.system.register_table(schema_name => 'atelier', table_name => 'runs', table_location => 's3://YOUR-BUCKET/warehouse/tables/runs');

-- One row an index version that was built, with what it was judged by.
CALL delta.system.register_table(schema_name => 'atelier', table_name => 'indexes', table_location => 's3://YOUR-BUCKET/warehouse/tables/indexes');

-- One row a data check of a run: what `atelier check` found, the newest time it was asked.
CALL delta.system.register_table(schema_name => 'atelier', table_name => 'check_results', table_location => 's3://YOUR-BUCKET/warehouse/tables/check_results');

-- What a run's photos looked like, as counts and moments that add up: drift compares these, never photos again.
CALL delta.system.register_table(schema_name => 'atelier', table_name => 'drift_stats', table_location => 's3://YOUR-BUCKET/warehouse/tables/drift_stats');

-- How far each run's photos are from those of the runs before it: one row a run, subject and measure.
CALL delta.system.register_table(schema_name => 'atelier', table_name => 'drift_results', table_location => 's3://YOUR-BUCKET/warehouse/tables/drift_results');

-- Published copy: what is known of every photo: the row of its current version, read by this snapshot's release, joined with the shop's own words. Start here.
CREATE TABLE IF NOT EXISTS hive.atelier.enriched_published (
    "image_key" varchar,
    "etag" varchar,
    "release_id" varchar,
    "batch_id" varchar,
    "run_id" varchar,
    "feature_id" varchar,
    "product_id" varchar,
    "bytes" bigint,
    "format" varchar,
    "width" integer,
    "height" integer,
    "sha256" varchar,
    "phash" varchar,
    "type" varchar,
    "type_score" real,
    "color" varchar,
    "color_score" real,
    "brand" varchar,
    "brand_score" real,
    "pattern" varchar,
    "pattern_score" real,
    "gender" varchar,
    "gender_score" real,
    "attributes" array(row(head varchar, label varchar, score real)),
    "color_measured" varchar,
    "color_measured_share" real,
    "color_agrees" boolean,
    "caption" varchar,
    "caption_score" real,
    "garments" smallint,
    "main_group" varchar,
    "fetch_ms" real,
    "decode_ms" real,
    "model_ms" real,
    "enriched_at" timestamp(6),
    "catalog_modified_at" timestamp(6),
    "feed_brand" varchar,
    "feed_type" varchar,
    "feed_color" varchar,
    "feed_gender" varchar,
    "feed_title" varchar,
    "feed_price" double,
    "type_folder" varchar
)
WITH (
    external_location = 's3://YOUR-BUCKET/warehouse/published/versions/CURRENT-VERSION/enriched',
    format = 'PARQUET',
    partitioned_by = ARRAY['type_folder']
);

CALL hive.system.sync_partition_metadata(schema_name => 'atelier', table_name => 'enriched_published', mode => 'FULL');

-- Published copy: a product's photos agreed into one row: each head by a vote of the photos weighted by their scores. The rule is `vote` in models/agreement.py. `atelier classify test --by-product` measures a head on products with all its probabilities, which the tables do not keep.
CREATE TABLE IF NOT EXISTS hive.atelier.products_published (
    "product_id" varchar,
    "photos" bigint,
    "type" varchar,
    "type_score" double,
    "type_photos" bigint,
    "color" varchar,
    "color_score" double,
    "color_photos" bigint,
    "brand" varchar,
    "brand_score" double,
    "brand_photos" bigint,
    "pattern" varchar,
    "pattern_score" double,
    "pattern_photos" bigint,
    "gender" varchar,
    "gender_score" double,
    "gender_photos" bigint,
    "caption" varchar,
    "caption_score" real,
    "best_image_key" varchar,
    "feed_brand" varchar,
    "feed_type" varchar,
    "feed_color" varchar,
    "feed_gender" varchar,
    "feed_title" varchar,
    "feed_price" double,
    "type_folder" varchar
)
WITH (
    external_location = 's3://YOUR-BUCKET/warehouse/published/versions/CURRENT-VERSION/products',
    format = 'PARQUET',
    partitioned_by = ARRAY['type_folder']
);

CALL hive.system.sync_partition_metadata(schema_name => 'atelier', table_name => 'products_published', mode => 'FULL');
