-- The row of the same key before each row. Rows of one time are in order of arrival.
CREATE TABLE clicks (id BIGINT, k STRING, v DOUBLE, n BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
WITH ('connector' = 'stream', 'stream' = 'clicks', 'format' = 'json');
CREATE MATERIALIZED VIEW r AS
SELECT id, k, ts, n, LAG(n) OVER (PARTITION BY k ORDER BY ts) AS before_n, LAG(v, 2) OVER (PARTITION BY k ORDER BY ts) AS before_v
FROM clicks;
