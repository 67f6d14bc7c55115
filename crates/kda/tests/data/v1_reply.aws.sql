-- dialect: kda
-- ExampleApp: converted from a Kinesis Data Analytics for SQL application.

-- It began where it had stopped (LAST_STOPPED_POINT). Checkpoints do that by themselves;
-- LATEST is for the first start.
CREATE TABLE "SOURCE_SQL_STREAM_001" (
  "sensor.id" INTEGER,
  "it's" DECIMAL(10,2)
) WITH (
  'connector' = 'kinesis',
  'stream.arn' = 'arn:aws:kinesis:us-east-1:123456789012:stream/in',
  'source.init.position' = 'LATEST',
  'format' = 'json',
  'json.row-path' = '$.items[0:]',
  'json.path.sensor.id' = '$.sensor.id',
  'json.path.it''s' = '$.values[0:]',
  'transform.lambda.function' = 'arn:aws:lambda:us-east-1:123456789012:function:to-json'
);

-- All records come in SOURCE_SQL_STREAM_001; this stream is empty.
CREATE TABLE "SOURCE_SQL_STREAM_002" (
  "sensor.id" INTEGER,
  "it's" DECIMAL(10,2)
) WITH (
  'connector' = 'generator',
  'number-of-rows' = '0'
);

CREATE TABLE "CompanyName" (
  "Ticker" VARCHAR(4),
  "Company" VARCHAR(64)
) WITH (
  'connector' = 'filesystem',
  'path' = 's3://reference-data/reference/companies.csv',
  'format' = 'csv'
);

-- Where the rows of DESTINATION_SQL_STREAM go.
CREATE TABLE "DESTINATION_SQL_STREAM" WITH (
  'connector' = 'firehose', 'delivery-stream' = 'out', 'aws.region' = 'us-east-1', 'format' = 'json'
);

-- The application's SQL, unchanged.
SELECT 1
