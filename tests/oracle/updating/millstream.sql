-- Without a window: what is left of each key at the end.
CREATE TABLE clicks (id BIGINT, k STRING, v DOUBLE, n BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
WITH ('connector' = 'stream', 'stream' = 'clicks', 'format' = 'json');
CREATE MATERIALIZED VIEW r AS
SELECT k, count(*) AS c, sum(n) AS n, sum(v) AS v, min(v) AS low, max(v) AS high, count(DISTINCT n) AS numbers
FROM clicks
GROUP BY k;
