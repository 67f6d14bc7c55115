-- A second aggregate in the same window: the distribution of counts.
CREATE TABLE clicks (id BIGINT, k STRING, v DOUBLE, n BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
WITH ('connector' = 'filesystem', 'path' = '{clicks}', 'format' = 'json', 'json.timestamp-format.standard' = 'ISO-8601');
SELECT window_start, window_end, c, count(*) AS keys
FROM (
  SELECT window_start, window_end, k, count(*) AS c
  FROM TABLE(TUMBLE(TABLE clicks, DESCRIPTOR(ts), INTERVAL '30' SECOND))
  GROUP BY window_start, window_end, k
)
GROUP BY window_start, window_end, c;
