-- purpose: why are photos out, how many, and since when?
-- columns:
--   reason: stable code
--   permanent: stays out until replaced or re-admitted
--   photos: photos in quarantine now
--   oldest: when the first of them failed
--   example: one of them
--   message: what happened to it
SELECT
    reason,
    permanent,
    count(*) AS photos,
    min(happened_at) AS oldest,
    min(image_key) AS example,
    arg_min(message, image_key) AS message
FROM quarantined
GROUP BY reason, permanent
ORDER BY photos DESC, reason;
