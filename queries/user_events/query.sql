-- How many events of each type every user makes in a minute.
CREATE TABLE events (
  user_id STRING,
  event_type STRING,
  amount DOUBLE,
  device ROW<os STRING, version STRING>,
  server_time TIMESTAMP(3),
  WATERMARK FOR server_time AS server_time - INTERVAL '5' SECOND
) WITH ('connector' = 'stream', 'stream' = 'user-events', 'format' = 'json', 'shards' = '2');

CREATE MATERIALIZED VIEW events_per_user WITH ('retention' = '1 h') AS
SELECT window_start, window_end, user_id, event_type, count(*) AS events, sum(amount) AS amount
FROM TABLE(TUMBLE(TABLE events, DESCRIPTOR(server_time), INTERVAL '1' MINUTE))
GROUP BY window_start, window_end, user_id, event_type;

-- Totals per type, over the counts above: a second aggregate in the same window.
CREATE MATERIALIZED VIEW busiest_types WITH ('retention' = '1 h') AS
SELECT window_start, event_type, count(*) AS users, sum(events) AS events
FROM events_per_user
GROUP BY window_start, event_type
HAVING sum(events) > 1
ORDER BY events DESC, event_type;
