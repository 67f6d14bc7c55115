-- Orders whose key is among those of the payments of their window.
CREATE TABLE orders (id BIGINT, k STRING, n BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
WITH ('connector' = 'filesystem', 'path' = '{orders}', 'format' = 'json', 'json.timestamp-format.standard' = 'ISO-8601');
CREATE TABLE payments (id BIGINT, k STRING, n BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
WITH ('connector' = 'filesystem', 'path' = '{payments}', 'format' = 'json', 'json.timestamp-format.standard' = 'ISO-8601');
SELECT o.window_start AS window_start, o.window_end AS window_end, o.id AS id, o.k AS k, o.n AS n
FROM (SELECT * FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(ts), INTERVAL '5' SECOND))) o
WHERE o.k IN (
  SELECT p.k FROM (SELECT * FROM TABLE(TUMBLE(TABLE payments, DESCRIPTOR(ts), INTERVAL '5' SECOND))) p
  WHERE o.window_start = p.window_start AND o.window_end = p.window_end
);
