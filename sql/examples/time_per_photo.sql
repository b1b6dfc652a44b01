-- purpose: where does the time of a photo go, by format and size?
-- columns:
--   format: image format
--   megapixels: size, rounded to whole megapixels
--   photos: enriched photos
--   fetch_ms: mean time to fetch, milliseconds
--   decode_ms: mean time to decode, milliseconds
--   model_ms: mean time in the models, milliseconds
SELECT
    format,
    round(width::DOUBLE * height / 1e6)::INTEGER AS megapixels,
    count(*) AS photos,
    avg(fetch_ms) AS fetch_ms,
    avg(decode_ms) AS decode_ms,
    avg(model_ms) AS model_ms
FROM enriched
GROUP BY format, megapixels
ORDER BY photos DESC, format, megapixels;
