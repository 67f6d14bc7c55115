-- Where every truck is now, and how long trucks stand at stops.
CREATE TABLE positions (
  truck_id STRING,
  stop_id STRING,                 -- null on the road
  lat DOUBLE,
  lon DOUBLE,
  speed_kmh DOUBLE,
  event_time TIMESTAMP(3),
  WATERMARK FOR event_time AS event_time - INTERVAL '10' SECOND
) WITH ('connector' = 'stream', 'stream' = 'truck-positions', 'format' = 'json', 'shards' = '2');

-- The latest position of each truck: one row a truck, found by GET /api/v1/tables/truck_positions/rows/{truck_id}.
CREATE MATERIALIZED VIEW truck_positions WITH ('ttl' = '1 d') AS
SELECT truck_id,
  last_value(stop_id ORDER BY event_time) AS stop_id,
  last_value(lat ORDER BY event_time) AS lat,
  last_value(lon ORDER BY event_time) AS lon,
  last_value(speed_kmh ORDER BY event_time) AS speed_kmh,
  max(event_time) AS seen
FROM positions
GROUP BY truck_id;

-- How long each truck has stood at each stop, day by day; today's rows change until the day is over.
CREATE MATERIALIZED VIEW dwell_time WITH ('retention' = '7 d') AS
SELECT truck_id, stop_id, date_trunc('day', event_time) AS day,
  min(event_time) AS arrived,
  max(event_time) AS last_seen,
  date_part('epoch', max(event_time)) - date_part('epoch', min(event_time)) AS dwell_seconds
FROM positions
WHERE stop_id IS NOT NULL AND speed_kmh < 5
GROUP BY truck_id, stop_id, date_trunc('day', event_time);

-- Per stop and five minutes: trucks that stood there, and for how long on average.
CREATE MATERIALIZED VIEW stop_load WITH ('retention' = '1 h') AS
SELECT window_start, stop_id, count(*) AS trucks, avg(dwell) AS mean_dwell_seconds
FROM (
  SELECT window_start, stop_id, truck_id, date_part('epoch', max(event_time)) - date_part('epoch', min(event_time)) AS dwell
  FROM TABLE(TUMBLE(TABLE positions, DESCRIPTOR(event_time), INTERVAL '5' MINUTE))
  WHERE stop_id IS NOT NULL AND speed_kmh < 5
  GROUP BY window_start, stop_id, truck_id
)
GROUP BY window_start, stop_id;
