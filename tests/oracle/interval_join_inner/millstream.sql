-- Inner join in time: payments from five seconds before to ten seconds after, bounds included. NULL keys have no match.
CREATE TABLE orders (id BIGINT, k STRING, n BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
WITH ('connector' = 'stream', 'stream' = 'orders', 'format' = 'json');
CREATE TABLE payments (id BIGINT, k STRING, n BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
WITH ('connector' = 'stream', 'stream' = 'payments', 'format' = 'json');
CREATE MATERIALIZED VIEW r AS
SELECT o.id AS order_id, p.id AS payment_id, o.k AS order_k, p.k AS payment_k, o.ts AS ordered_at, p.ts AS paid_at
FROM orders o
INNER JOIN payments p
ON o.k = p.k AND p.ts BETWEEN o.ts - INTERVAL '5' SECOND AND o.ts + INTERVAL '10' SECOND;
