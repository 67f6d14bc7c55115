-- dialect: kda
-- ExampleApp: converted from a Kinesis Data Analytics for SQL application.

CREATE TABLE "SOURCE_SQL_STREAM_001" (
  "sensor.id" INTEGER,
  "it's" DECIMAL(10,2)
) WITH (
  'connector' = 'stream',
  'stream' = 'in',
  'format' = 'json',
  'json.row-path' = '$.items[0:]',
  'json.path.sensor.id' = '$.sensor.id',
  'json.path.it''s' = '$.values[0:]'
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
  'path' = 'apps/companies.csv',
  'format' = 'csv'
);

CREATE TABLE "DESTINATION_SQL_STREAM" WITH ('connector' = 'print');

-- The application's SQL, unchanged.
SELECT 1
-- warning: SOURCE_SQL_STREAM_001: the Lambda function to-json is not called here; give records as it would answer them
