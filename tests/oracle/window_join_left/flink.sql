-- Left join of the rows of equal windows. NULL keys have no match.
CREATE TABLE orders (id BIGINT, k STRING, n BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
WITH ('connector' = 'filesystem', 'path' = '{orders}', 'format' = 'json', 'json.timestamp-format.standard' = 'ISO-8601');
CREATE TABLE payments (id BIGINT, k STRING, n BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
WITH ('connector' = 'filesystem', 'path' = '{payments}', 'format' = 'json', 'json.timestamp-format.standard' = 'ISO-8601');
SELECT o.window_start AS window_start, o.window_end AS window_end,
  o.id AS order_id, p.id AS payment_id, o.k AS order_k, p.k AS payment_k, o.n AS ordered, p.n AS paid
FROM (SELECT * FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(ts), INTERVAL '5' SECOND))) o
LEFT JOIN (SELECT * FROM TABLE(TUMBLE(TABLE payments, DESCRIPTOR(ts), INTERVAL '5' SECOND))) p
ON o.k = p.k AND o.window_start = p.window_start AND o.window_end = p.window_end;
