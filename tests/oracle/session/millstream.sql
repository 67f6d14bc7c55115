-- Sessions by key, many of their steps exactly as long as the gap: these do not end a session.
CREATE TABLE clicks (id BIGINT, k STRING, v DOUBLE, n BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
WITH ('connector' = 'stream', 'stream' = 'clicks', 'format' = 'json');
CREATE MATERIALIZED VIEW r AS
SELECT window_start, window_end, window_time, k, count(*) AS c, sum(n) AS n, sum(v) AS v, min(v) AS low, max(v) AS high
FROM TABLE(SESSION(TABLE clicks PARTITION BY k, DESCRIPTOR(ts), INTERVAL '7' SECOND))
GROUP BY window_start, window_end, window_time, k;
