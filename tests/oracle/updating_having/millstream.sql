-- Without a window: keys come and go as their sum passes a bound.
CREATE TABLE clicks (id BIGINT, k STRING, v DOUBLE, n BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
WITH ('connector' = 'stream', 'stream' = 'clicks', 'format' = 'json');
CREATE MATERIALIZED VIEW r AS
SELECT k, n, count(*) AS c, sum(v) AS v
FROM clicks
WHERE n BETWEEN -3 AND 3
GROUP BY k, n
HAVING sum(v) > 100;
