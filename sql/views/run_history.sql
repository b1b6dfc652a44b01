-- purpose: what every run did, how long it took and what it was judged by.
-- grain: one row a run
-- columns:
--   run_id: the run
--   started_at: start of its first job, UTC
--   finished_at: end of its last job, UTC
--   seconds: from the one to the other
--   jobs: jobs it recorded, in the order they started
--   release_id: release it ran for
--   images: images enriched
--   rejects: images sent to quarantine
--   reject_share: rejects / (images + rejects), 0 to 1; null where the run had nothing to do
--   enrich_seconds: from the start of the first enrich task to the end of the last
--   images_per_s: images a second of that time
--   device: device and precision of the models
--   index_version: index built by the run
--   recall_at_10: its recall on held-out queries
WITH jobs AS (
    SELECT *, started_at + to_microseconds((seconds * 1e6)::BIGINT) AS finished_at FROM runs
), built AS (
    SELECT run_id, arg_max(index_version, built_at) AS index_version, arg_max(recall_at_10, built_at) AS recall_at_10
    FROM indexes
    GROUP BY run_id
), summed AS (
    SELECT
        run_id,
        min(started_at) AS started_at,
        max(finished_at) AS finished_at,
        arg_max(release_id, started_at) AS release_id,
        coalesce(sum(images) FILTER (job = 'enrich'), 0)::BIGINT AS images,
        coalesce(sum(rejects) FILTER (job = 'enrich'), 0)::BIGINT AS rejects,
        epoch(max(finished_at) FILTER (job = 'enrich') - min(started_at) FILTER (job = 'enrich')) AS enrich_seconds,
        max(device) AS device
    FROM jobs
    GROUP BY run_id
), ordered AS (
    SELECT run_id, list(job ORDER BY first_start, job) AS jobs
    FROM (SELECT run_id, job, min(started_at) AS first_start FROM runs GROUP BY ALL)
    GROUP BY run_id
)
SELECT
    run_id,
    started_at,
    finished_at,
    epoch(finished_at - started_at) AS seconds,
    ordered.jobs,
    release_id,
    images,
    rejects,
    rejects / nullif(images + rejects, 0) AS reject_share,
    enrich_seconds,
    images / nullif(enrich_seconds, 0) AS images_per_s,
    device,
    built.index_version,
    built.recall_at_10
FROM summed
JOIN ordered USING (run_id)
LEFT JOIN built USING (run_id)
