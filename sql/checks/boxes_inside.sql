-- purpose: every garment's box is a box and lies inside its photo, in pixels of the upright photo.
-- severity: blocking
SELECT garments.image_key, garments.garment_index, x1, y1, x2, y2, width, height
FROM garments
JOIN images USING (image_key, etag, release_id, batch_id)
WHERE NOT (0 <= x1 AND x1 < x2 AND x2 <= width AND 0 <= y1 AND y1 < y2 AND y2 <= height)
