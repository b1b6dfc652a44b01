-- purpose: how long does a thousand photos take, run by run? Multiply the hours by the machine's price.
-- columns:
--   run_id: the run
--   started_at: its start, UTC
--   device: device and precision
--   images: images enriched
--   minutes_per_thousand: minutes of enrichment per thousand photos, rejected ones included
SELECT
    run_id,
    started_at,
    device,
    images,
    enrich_seconds / 60 / (images + rejects) * 1000 AS minutes_per_thousand
FROM run_history
WHERE images + rejects > 0
ORDER BY started_at DESC;
