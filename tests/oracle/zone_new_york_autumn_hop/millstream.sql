-- Three days of New York, every day, over a day of 25 hours.
CREATE TABLE clicks (id BIGINT, k STRING, v DOUBLE, n BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
WITH ('connector' = 'stream', 'stream' = 'clicks', 'format' = 'json');
CREATE MATERIALIZED VIEW r AS
SELECT window_start, window_end, count(*) AS c, sum(n) AS n, sum(v) AS v
FROM TABLE(HOP(TABLE clicks, DESCRIPTOR(ts), INTERVAL '1' DAY, INTERVAL '3' DAY, TIMEZONE => 'America/New_York'))
GROUP BY window_start, window_end;
