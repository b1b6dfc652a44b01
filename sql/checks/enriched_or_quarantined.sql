-- purpose: no photo is enriched and in permanent quarantine at once, for the same version and release. Two attempts
--   that overlapped may have ended differently; the enriched row counts, but why one of them failed is worth a look.
-- severity: warning
WITH newest AS (
    SELECT image_key, etag, release_id, reason, permanent, happened_at
    FROM quarantine
    SEMI JOIN this_snapshot USING (release_id)
    QUALIFY row_number() OVER (PARTITION BY image_key, etag ORDER BY happened_at DESC, batch_id DESC) = 1
)
SELECT newest.*, images.enriched_at, images.batch_id
FROM newest
JOIN images USING (image_key, etag, release_id)
WHERE newest.permanent AND newest.reason <> 'readmitted'
