-- Days of Seoul from six in the morning.
-- Flink 2.3.0 loses rows of TUMBLE here (see the README, FLINK-38075): this is CUMULATE in the same zone, its last step.
SET 'table.local-time-zone' = 'Asia/Seoul';
CREATE TABLE clicks (id BIGINT, k STRING, v DOUBLE, n BIGINT, ts TIMESTAMP_LTZ(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
WITH ('connector' = 'filesystem', 'path' = '{clicks}', 'format' = 'json', 'json.timestamp-format.standard' = 'ISO-8601');
SELECT CAST(window_start AS TIMESTAMP_LTZ(3)) AS window_start, CAST(window_end AS TIMESTAMP_LTZ(3)) AS window_end, count(*) AS c, sum(n) AS n, sum(v) AS v
FROM TABLE(CUMULATE(TABLE clicks, DESCRIPTOR(ts), INTERVAL '3' HOUR, INTERVAL '1' DAY, INTERVAL '6' HOUR))
WHERE window_end = window_start + INTERVAL '1' DAY
GROUP BY window_start, window_end;
