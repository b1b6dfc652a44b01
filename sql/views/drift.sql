-- purpose: how far each run's photos were from those of the runs before it: labels and scores of every head, and the
--   embeddings. Written by `atelier drift`.
-- grain: one row a run, subject and measure
-- columns:
--   run_id: the run
--   enriched_at: when the first of its photos was enriched, UTC
--   release_id: release that read them
--   subject: a head, or embedding
--   measure: labels, scores or vectors
--   state: alarm, ok, or not judged: too few photos, or no earlier run of the release
--   distance: labels and scores: Jensen-Shannon divergence, 0 (the same) to 1 bit (nothing in common); vectors: squared
--     maximum mean discrepancy as a share of the reference's spread
--   chance: what about one run in a hundred of this size shows by chance
--   level: alarm level in the settings; an alarm is above both
--   change: distance less that of the release's run before
--   photos: photos measured
--   reference_runs: runs compared with
--   reference_photos: their photos
--   moved: up to five labels or score bins whose share moved most, with their share and usual_share
SELECT
    drift_results.run_id,
    drift_stats.enriched_at,
    drift_results.release_id,
    drift_results.subject,
    drift_results.measure,
    CASE WHEN distance IS NULL THEN 'not judged' WHEN alarm THEN 'alarm' ELSE 'ok' END AS state,
    distance,
    chance,
    level,
    distance - lag(distance) OVER (
        PARTITION BY drift_results.release_id, drift_results.subject, drift_results.measure
        ORDER BY drift_stats.enriched_at, drift_results.run_id
    ) AS change,
    drift_results.photos,
    reference_runs,
    reference_photos,
    moved
FROM drift_results
JOIN drift_stats USING (batch_id, subject, measure)
