-- A full join of rows with one more condition than equality.
CREATE TABLE orders (id BIGINT, k STRING, n BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
WITH ('connector' = 'filesystem', 'path' = '{orders}', 'format' = 'json', 'json.timestamp-format.standard' = 'ISO-8601');
CREATE TABLE payments (id BIGINT, k STRING, n BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
WITH ('connector' = 'filesystem', 'path' = '{payments}', 'format' = 'json', 'json.timestamp-format.standard' = 'ISO-8601');
SELECT COALESCE(o.window_start, p.window_start) AS window_start, o.id AS order_id, p.id AS payment_id, o.n AS ordered, p.n AS paid
FROM (SELECT * FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(ts), INTERVAL '5' SECOND))) o
FULL JOIN (SELECT * FROM TABLE(TUMBLE(TABLE payments, DESCRIPTOR(ts), INTERVAL '5' SECOND))) p
ON o.k = p.k AND o.window_start = p.window_start AND o.window_end = p.window_end AND p.n >= o.n;
