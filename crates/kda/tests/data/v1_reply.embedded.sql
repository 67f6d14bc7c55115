-- dialect: kda
-- ExampleApp: converted from a Kinesis Data Analytics for SQL application.

-- It began where it had stopped (LAST_STOPPED_POINT). Checkpoints do that by themselves;
-- LATEST is for the first start.
CREATE TABLE "SOURCE_SQL_STREAM_001" (
  "sensor.id" INTEGER,
  "it's" DECIMAL(10,2)
) WITH (
  'connector' = 'stream',
  'stream' = 'in',
  'source.init.position' = 'LATEST',
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

-- A copy of s3://reference-data/reference/companies.csv.
CREATE TABLE "CompanyName" (
  "Ticker" VARCHAR(4),
  "Company" VARCHAR(64)
) WITH (
  'connector' = 'filesystem',
  'path' = 'companies.csv',
  'format' = 'csv'
);

-- Where the rows of DESTINATION_SQL_STREAM go.
CREATE TABLE "DESTINATION_SQL_STREAM" WITH (
  'connector' = 'stream', 'stream' = 'out', 'format' = 'json'
);

-- The application's SQL, unchanged.
SELECT 1
-- warning: SOURCE_SQL_STREAM_001: the Lambda function to-json is not called here; give records as it would answer them
-- warning: CompanyName: companies.csv in the working folder is to be a copy of s3://reference-data/reference/companies.csv
-- warning: DESTINATION_SQL_STREAM: the stream out stands in for the Firehose stream out
