-- DISTINCT and FILTER, over all keys.
CREATE TABLE clicks (id BIGINT, k STRING, v DOUBLE, n BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
WITH ('connector' = 'stream', 'stream' = 'clicks', 'format' = 'json');
CREATE MATERIALIZED VIEW r AS
SELECT window_start, window_end, count(*) AS c, count(k) AS keyed, count(DISTINCT k) AS keys, count(DISTINCT n) AS numbers,
  sum(DISTINCT n) AS n, count(DISTINCT n) FILTER (WHERE v > 0) AS positive, sum(v) FILTER (WHERE k = 'hot') AS hot
FROM TABLE(TUMBLE(TABLE clicks, DESCRIPTOR(ts), INTERVAL '30' SECOND))
GROUP BY window_start, window_end;
