-- Each row with the four of its key before it. Rows of one time are in order of arrival.
CREATE TABLE clicks (id BIGINT, k STRING, v DOUBLE, n BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
WITH ('connector' = 'filesystem', 'path' = '{clicks}', 'format' = 'json', 'json.timestamp-format.standard' = 'ISO-8601');
SELECT id, k, ts,
  count(*) OVER w AS c, sum(n) OVER w AS sum_n, sum(v) OVER w AS sum_v, min(v) OVER w AS low, max(v) OVER w AS high
FROM clicks
WINDOW w AS (PARTITION BY k ORDER BY ts ROWS BETWEEN 4 PRECEDING AND CURRENT ROW);
