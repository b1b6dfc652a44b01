-- purpose: digests and hashes are written as declared, sizes are positive.
-- severity: blocking
SELECT image_key, etag, sha256, phash, bytes, width, height
FROM images
WHERE NOT regexp_full_match(sha256, '[0-9a-f]{64}')
    OR NOT regexp_full_match(phash, '[0-9a-f]{16}')
    OR bytes <= 0
    OR width <= 0
    OR height <= 0
