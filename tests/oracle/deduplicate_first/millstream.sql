-- The first row of each key; of two at one time, the one that came first.
CREATE TABLE clicks (id BIGINT, k STRING, v DOUBLE, n BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
WITH ('connector' = 'stream', 'stream' = 'clicks', 'format' = 'json');
CREATE MATERIALIZED VIEW r AS
SELECT id, k, v, n, ts
FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY k ORDER BY ts, id ASC) AS place
  FROM clicks
)
WHERE place = 1;
