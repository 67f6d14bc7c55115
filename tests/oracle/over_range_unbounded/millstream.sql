-- Each row with all of its key up to its time. Rows of one time see each other.
CREATE TABLE clicks (id BIGINT, k STRING, v DOUBLE, n BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
WITH ('connector' = 'stream', 'stream' = 'clicks', 'format' = 'json');
CREATE MATERIALIZED VIEW r AS
SELECT id, k, ts,
  count(*) OVER w AS c, sum(n) OVER w AS sum_n, sum(v) OVER w AS sum_v, min(v) OVER w AS low, max(v) OVER w AS high
FROM clicks
WINDOW w AS (PARTITION BY k ORDER BY ts RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW);
