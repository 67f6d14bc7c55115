-- The rows of the same key before each row. No two rows of a key have one time: Flink gives those one answer.
CREATE TABLE clicks (id BIGINT, k STRING, v DOUBLE, n BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
WITH ('connector' = 'stream', 'stream' = 'clicks', 'format' = 'json');
CREATE MATERIALIZED VIEW r AS
SELECT id, k, ts, n, LAG(n) OVER (PARTITION BY k ORDER BY ts) AS before_n, LAG(v, 2) OVER (PARTITION BY k ORDER BY ts) AS before_v
FROM clicks;
