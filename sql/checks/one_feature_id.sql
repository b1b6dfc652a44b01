-- purpose: within one release, vectors and images come from one backbone and detector.
-- severity: blocking
SELECT release_id, count(DISTINCT feature_id) AS feature_ids, list(DISTINCT feature_id) AS found
FROM (SELECT release_id, feature_id FROM images UNION SELECT release_id, feature_id FROM embeddings)
GROUP BY release_id
HAVING count(DISTINCT feature_id) > 1
