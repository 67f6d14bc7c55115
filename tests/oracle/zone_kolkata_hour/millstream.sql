-- Hours of Kolkata, which begin at half past those of UTC.
CREATE TABLE clicks (id BIGINT, k STRING, v DOUBLE, n BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
WITH ('connector' = 'stream', 'stream' = 'clicks', 'format' = 'json');
CREATE MATERIALIZED VIEW r AS
SELECT window_start, window_end, count(*) AS c, sum(n) AS n, sum(v) AS v
FROM TABLE(TUMBLE(TABLE clicks, DESCRIPTOR(ts), INTERVAL '1' HOUR, INTERVAL '30' MINUTE))
GROUP BY window_start, window_end;
