-- purpose: this run's photos look like those of the runs before it: no head's labels or scores, nor the embeddings, are
--   above their alarm level (settings drift.*). New kinds of photos, another camera, or a broken export.
-- severity: warning
SELECT subject, measure, distance, chance, level, photos, reference_photos, moved
FROM drift_results
SEMI JOIN this_snapshot USING (run_id)
WHERE alarm
ORDER BY distance / level DESC, subject, measure
