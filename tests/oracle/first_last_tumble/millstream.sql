-- The first and the last value in time. Flink takes them as they arrive: these records arrive in order, no two at a time.
CREATE TABLE clicks (id BIGINT, k STRING, v DOUBLE, n BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
WITH ('connector' = 'stream', 'stream' = 'clicks', 'format' = 'json');
CREATE MATERIALIZED VIEW r AS
SELECT window_start, window_end, k, first_value(v ORDER BY ts) FILTER (WHERE v IS NOT NULL) AS first_v,
  last_value(v ORDER BY ts) FILTER (WHERE v IS NOT NULL) AS last_v,
  first_value(id ORDER BY ts) AS first_id, last_value(id ORDER BY ts) AS last_id
FROM TABLE(TUMBLE(TABLE clicks, DESCRIPTOR(ts), INTERVAL '30' SECOND))
GROUP BY window_start, window_end, k;
