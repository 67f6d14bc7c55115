-- Overlapping windows over the results of tumbling ones.
CREATE TABLE clicks (id BIGINT, k STRING, v DOUBLE, n BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
WITH ('connector' = 'stream', 'stream' = 'clicks', 'format' = 'json');
CREATE VIEW tens AS
SELECT window_start AS started, window_end AS ended, window_time AS closed, k, count(*) AS c, sum(v) AS v
FROM TABLE(TUMBLE(TABLE clicks, DESCRIPTOR(ts), INTERVAL '10' SECOND))
GROUP BY window_start, window_end, window_time, k;
CREATE MATERIALIZED VIEW r AS
SELECT window_start, window_end, count(*) AS groups_in, sum(c) AS c, max(c) AS most, sum(v) AS v
FROM TABLE(HOP(TABLE tens, DESCRIPTOR(closed), INTERVAL '20' SECOND, INTERVAL '40' SECOND))
GROUP BY window_start, window_end;
