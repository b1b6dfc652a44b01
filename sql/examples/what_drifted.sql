-- purpose: what is different about the photos of the latest run that was measured, and which labels moved?
-- columns:
--   subject: a head, or embedding
--   measure: labels, scores or vectors
--   state: alarm, ok or not judged
--   distance: see the view drift
--   level: alarm level
--   most_moved: the label or score bin whose share changed most; null where a head abstained, or for vectors
--   share: its share in this run, 0 to 1
--   usual_share: its share in the runs before
SELECT
    subject,
    measure,
    state,
    distance,
    level,
    moved[1].bin AS most_moved,
    moved[1].share AS share,
    moved[1].usual_share AS usual_share
FROM drift
WHERE run_id = (SELECT arg_max(run_id, enriched_at) FROM drift)
ORDER BY distance / level DESC NULLS LAST, subject, measure;
