-- A full join of the counts of equal windows.
CREATE TABLE orders (id BIGINT, k STRING, n BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
WITH ('connector' = 'stream', 'stream' = 'orders', 'format' = 'json');
CREATE TABLE payments (id BIGINT, k STRING, n BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
WITH ('connector' = 'stream', 'stream' = 'payments', 'format' = 'json');
CREATE MATERIALIZED VIEW r AS
SELECT COALESCE(o.window_start, p.window_start) AS window_start, COALESCE(o.k, p.k) AS k,
  o.c AS orders, p.c AS payments, o.n AS ordered, p.n AS paid
FROM (
  SELECT window_start, window_end, k, count(*) AS c, sum(n) AS n
  FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(ts), INTERVAL '10' SECOND))
  GROUP BY window_start, window_end, k
) o
FULL JOIN (
  SELECT window_start, window_end, k, count(*) AS c, sum(n) AS n
  FROM TABLE(TUMBLE(TABLE payments, DESCRIPTOR(ts), INTERVAL '10' SECOND))
  GROUP BY window_start, window_end, k
) p
ON o.k = p.k AND o.window_start = p.window_start AND o.window_end = p.window_end;
