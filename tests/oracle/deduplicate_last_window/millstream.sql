-- The last row of each key and window; of two at one time, the one that came last.
CREATE TABLE clicks (id BIGINT, k STRING, v DOUBLE, n BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
WITH ('connector' = 'stream', 'stream' = 'clicks', 'format' = 'json');
CREATE MATERIALIZED VIEW r AS
SELECT window_start, window_end, id, k, v, ts
FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end, k ORDER BY ts DESC, id DESC) AS place
  FROM TABLE(TUMBLE(TABLE clicks, DESCRIPTOR(ts), INTERVAL '30' SECOND))
)
WHERE place = 1;
