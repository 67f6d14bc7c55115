-- Bounds that are excluded, both after the order, and one more condition.
CREATE TABLE orders (id BIGINT, k STRING, n BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
WITH ('connector' = 'filesystem', 'path' = '{orders}', 'format' = 'json', 'json.timestamp-format.standard' = 'ISO-8601');
CREATE TABLE payments (id BIGINT, k STRING, n BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
WITH ('connector' = 'filesystem', 'path' = '{payments}', 'format' = 'json', 'json.timestamp-format.standard' = 'ISO-8601');
SELECT o.id AS order_id, p.id AS payment_id, o.n AS ordered, p.n AS paid
FROM orders o
LEFT JOIN payments p
ON o.k = p.k AND p.ts > o.ts AND p.ts < o.ts + INTERVAL '10' SECOND AND p.n >= o.n;
