-- Without time: conditions, CASE, COALESCE and arithmetic with NULLs.
CREATE TABLE clicks (id BIGINT, k STRING, v DOUBLE, n BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
WITH ('connector' = 'stream', 'stream' = 'clicks', 'format' = 'json');
CREATE MATERIALIZED VIEW r AS
SELECT id, COALESCE(k, 'none') AS k, v * 2 AS doubled, n + 1 AS next_n,
  CASE WHEN v IS NULL THEN 'unknown' WHEN v < 0 THEN 'below' ELSE 'above' END AS side
FROM clicks
WHERE n <> 0 AND (v > -20 OR v IS NULL);
