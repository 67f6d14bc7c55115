-- Each row with all rows of the two seconds before it, of any key.
CREATE TABLE clicks (id BIGINT, k STRING, v DOUBLE, n BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
WITH ('connector' = 'filesystem', 'path' = '{clicks}', 'format' = 'json', 'json.timestamp-format.standard' = 'ISO-8601');
SELECT id, k, ts,
  count(*) OVER w AS c, sum(n) OVER w AS sum_n, sum(v) OVER w AS sum_v, min(v) OVER w AS low, max(v) OVER w AS high
FROM clicks
WINDOW w AS (ORDER BY ts RANGE BETWEEN INTERVAL '2' SECOND PRECEDING AND CURRENT ROW);
