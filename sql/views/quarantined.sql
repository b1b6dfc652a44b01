-- purpose: photos that are out for now, and why.
-- grain: one row a photo whose current version is in quarantine and not enriched by this snapshot's release
-- columns:
--   image_key: key of the photo under the catalog root
--   etag: version of the photo's bytes
--   product_id: product the photo shows
--   reason: stable code, see docs/data-dictionary.md
--   message: what happened, for a person
--   permanent: stays out until re-admitted by hand or replaced by other bytes
--   attempts: failed attempts
--   next_retry_at: pending again from then on; null where permanent
--   happened_at: when it failed last
--   release_id: release that failed on it
--   batch_id: batch it failed in
--   run_id: run it failed in
-- needs: enriched
WITH newest AS (
    SELECT *
    FROM quarantine
    JOIN "catalog" USING (image_key, etag)
    QUALIFY row_number() OVER (PARTITION BY image_key, etag ORDER BY happened_at DESC, batch_id DESC) = 1
)
SELECT
    image_key, etag, product_id, reason, message, permanent, attempts, next_retry_at, happened_at, release_id,
    batch_id, run_id
FROM newest
ANTI JOIN enriched USING (image_key, etag)
WHERE reason <> 'readmitted'
