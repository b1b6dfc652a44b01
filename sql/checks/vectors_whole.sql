-- purpose: every vector holds the numbers that its row says, and one backbone makes vectors of one length. The vectors
--   themselves are read for the snapshot's own run only (all without a snapshot): they are most of the warehouse.
-- severity: blocking
WITH dims AS (
    SELECT feature_id, min(dim) AS dim FROM embeddings GROUP BY feature_id
), own AS (
    SELECT DISTINCT batch_id
    FROM images
    WHERE coalesce(run_id = (SELECT run_id FROM this_snapshot), true)
)
SELECT
    'dim or norm' AS problem, image_key, etag, kind, garment_index, feature_id, embeddings.dim, norm, NULL AS bytes
FROM embeddings
JOIN dims USING (feature_id)
WHERE embeddings.dim <> dims.dim OR NOT (norm > 0 AND norm < 'infinity'::FLOAT)
UNION ALL
SELECT 'bytes', image_key, etag, kind, garment_index, feature_id, dim, norm, octet_length(vector)
FROM embeddings
SEMI JOIN own USING (batch_id)
WHERE octet_length(vector) IS DISTINCT FROM 2 * dim
