"""The SQL behind the page, over the tables and views of `pipeline.tables.connect`.

`$run_id` and the like are bound when a statement runs and written out where the page shows it. Every statement gives
few rows, whatever the catalog's size: it aggregates, or has a limit.
"""

from __future__ import annotations

RUN_LATEST = """
select run_id, started_at
from run_history
order by list_has_any(jobs, ['plan', 'enrich']) desc, started_at desc, run_id desc
limit 1
"""

RUN_KNOWN = """
select run_id, started_at
from run_history
where run_id = $wanted
"""

RUNS_RECENT = """
select run_id
from run_history
order by started_at desc, run_id desc
limit 5
"""

RUNS_REPORTED = """
with judged as (
    select run_id, count(*) filter (severity = 'blocking' and not passed) as blocking,
           count(*) filter (severity <> 'blocking' and not passed) as warnings
    from check_results
    group by run_id
)
select run_id, started_at, images, rejects, images_per_s, recall_at_10, release_id, blocking, warnings
from run_history
left join judged using (run_id)
where run_id in (select unnest($run_ids))
order by started_at desc, run_id desc
limit $reports
"""

RUN = """
select run_id, started_at, finished_at, seconds, release_id, images, rejects, images_per_s, device
from run_history
where run_id = $run_id
"""

JOBS = """
with jobs as (
    select job, part, started_at, seconds, details
    from runs
    where run_id = $run_id
    union all
    select 'index', 0, built_at - to_microseconds((build_seconds * 1e6)::bigint), build_seconds, '{}'
    from indexes
    where run_id = $run_id
)
select job, max(epoch(started_at) + seconds) - min(epoch(started_at)) as wall_seconds,
       list(details order by part) as details
from jobs
group by job
order by min(started_at), job
"""

HISTORY = """
select run_id, started_at, images, images_per_s
from run_history
where images > 0 and started_at <= $started_at
order by started_at desc, run_id desc
limit $runs
"""

INDEXES = """
select index_version, run_id, vectors, shards, recall_at_10, built_at
from indexes
where built_at <= $finished_at or run_id = $run_id
order by built_at desc, index_version
limit $runs
"""

CHECKS = """
select name, severity, "rows", examples, snapshot
from check_results
where run_id = $run_id
order by passed, severity, name
limit $checks
"""

DRIFT = """
select subject, measure, state, distance, chance, level, reference_runs, reference_photos, moved
from drift
where run_id = $run_id
order by state = 'alarm' desc, distance / greatest(level, chance) desc nulls last, subject, measure
limit $measures
"""

DRIFT_TREND = """
with measured as (
    select run_id, measure, min(enriched_at) as enriched_at, max(distance / greatest(level, chance)) as of_alarm
    from drift
    where distance is not null and enriched_at <= (select max(enriched_at) from drift where run_id = $run_id)
    group by run_id, measure
), recent as (
    select run_id, min(enriched_at) as since
    from measured
    group by run_id
    order by since desc, run_id
    limit $runs
)
select run_id, measure, enriched_at, of_alarm
from measured
semi join recent using (run_id)
order by enriched_at, run_id, measure
"""

RELEASES = """
select release_id, arg_min(run_id, started_at) as first_run_id, min(started_at) as first_started_at
from run_history
where release_id is not null and images > 0 and started_at <= $started_at
group by release_id
order by first_started_at desc, release_id
limit 2
"""

LISTED = """
select count(*) as photos, count(distinct product_id) as products
from "catalog"
"""

ENRICHED = """
select count(*) as photos, count(*) filter (run_id = $run_id) as in_this_run,
       coalesce(sum(garments), 0)::bigint as garments, count(*) filter (garments = 0) as without_garment,
       count(distinct product_id) as products, max(release_id) as release_id
from enriched
"""

QUARANTINED = """
select reason, bool_and(permanent) as permanent, count(*) as photos,
       count(*) filter (run_id = $run_id) as in_this_run
from quarantined
group by reason
order by photos desc, reason
limit $reasons
"""

REJECT_EXAMPLES = """
select image_key, etag, reason, message, attempts, next_retry_at
from quarantined
qualify row_number() over (partition by reason order by md5(image_key || $seed), image_key) <= $examples
order by reason, image_key
limit $rejects
"""

SAMPLE = """
with drawn as (
    select image_key, coalesce(product_id, image_key) as product, md5(image_key || $seed) as lot
    from enriched
    where $scope is null or run_id = $scope
    order by lot, image_key
    limit 20 * $photos
)
select image_key
from drawn
order by row_number() over (partition by product order by lot, image_key), lot, image_key
limit $photos
"""

LOWEST = """
select image_key, type_score
from enriched
where type_score is not null and ($scope is null or run_id = $scope)
order by type_score, image_key
limit $photos
"""

LABEL_CONFLICTS = """
with found as materialized (
    select image_key, head, feed_label, label, score, feed_label_known
    from label_conflicts
    where $scope is null or image_key in (select image_key from enriched where run_id = $scope)
)
select image_key, head, feed_label, label, score, (select count(distinct image_key) from found) as total
from found
order by feed_label_known desc, score desc, image_key, head
limit $answers
"""

COLOR_CONFLICTS = """
select image_key, count(*) over () as total
from color_conflicts
where $scope is null or image_key in (select image_key from enriched where run_id = $scope)
order by color_score * color_measured_share desc nulls last, image_key
limit $photos
"""

PHOTOS = """
select *
from enriched
where image_key in (select unnest($keys))
"""

GARMENTS = """
select image_key, garment_index, "group", score, x1, y1, x2, y2, is_main, type, type_score
from garments_current
where image_key in (select unnest($keys))
order by image_key, garment_index
"""

VARIED = """
select image_key
from variants
semi join enriched using (image_key, etag, release_id)
group by image_key
order by bool_or(run_id = $run_id) desc, md5(image_key || $seed), image_key
limit $photos
"""

VARIANTS = """
select image_key, garment_index, generator, target_group, variant_key, target_probability, color_distance
from variants
semi join enriched using (image_key, etag, release_id)
where image_key in (select unnest($keys))
qualify row_number() over (
    partition by image_key order by target_probability desc nulls last, variant_key
) <= $variants
order by image_key, target_probability desc nulls last, variant_key
limit $pictures
"""

VARIANT_VECTORS = """
select v.image_key, v.variant_key, v.target_group, i.product_id, e.vector
from variants v
join enriched i using (image_key, etag, release_id)
join embeddings e
    on e.image_key = v.image_key and e.etag = v.etag and e.release_id = v.release_id and e.kind = 'variant'
    and e.garment_index = v.garment_index and e.generator = v.generator
where v.image_key in (select unnest($keys))
qualify row_number() over (
    partition by v.image_key order by v.target_probability desc nulls last, v.variant_key
) = 1
order by v.image_key
"""

ETAGS = """
select image_key, etag
from enriched
where image_key in (select unnest($keys))
order by image_key
"""

LABELS = """
with counted as (
    select head, label, count(*) as photos
    from answers
    group by head, label
)
select head, label, photos,
       sum(photos) over (partition by head)::bigint as answers,
       count(label) over (partition by head) as labels,
       row_number() over (partition by head, label is null order by photos desc, label) as place
from counted
qualify place <= $labels
order by head, label is null, place
"""
