-- purpose: what do garments of each type and predicted color cost?
-- columns:
--   type: agreed type
--   color: agreed color
--   products: products with a price
--   median_price: in the shop's currency
SELECT type, color, count(*) AS products, median(feed_price) AS median_price
FROM products
WHERE feed_price IS NOT NULL AND type IS NOT NULL AND color IS NOT NULL
GROUP BY type, color
ORDER BY products DESC, type, color;
