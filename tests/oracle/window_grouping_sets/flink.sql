-- Several groupings of one window: by key and number, by key, and over all. `level` tells a total from a NULL key.
CREATE TABLE clicks (id BIGINT, k STRING, v DOUBLE, n BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
WITH ('connector' = 'filesystem', 'path' = '{clicks}', 'format' = 'json', 'json.timestamp-format.standard' = 'ISO-8601');
SELECT window_start, window_end, k, n, GROUPING(k) * 2 + GROUPING(n) AS level, count(*) AS c, sum(v) AS v
FROM TABLE(TUMBLE(TABLE clicks, DESCRIPTOR(ts), INTERVAL '1' MINUTE))
WHERE n BETWEEN 0 AND 3
GROUP BY window_start, window_end, GROUPING SETS ((k, n), (k), ());
