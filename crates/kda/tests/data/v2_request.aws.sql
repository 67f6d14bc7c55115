-- dialect: kda
-- second: converted from a Kinesis Data Analytics for SQL application.

-- Nobody else can read the Firehose stream clicks: name the Kinesis stream that
-- feeds it, or let producers write to one.
CREATE TABLE "SOURCE_SQL_STREAM_001" (
  "TICKER_SYMBOL" VARCHAR(4),
  "SECTOR" VARCHAR(16),
  "PRICE" REAL
) WITH (
  'connector' = 'kinesis',
  'stream' = 'clicks',
  'aws.region' = 'us-east-1',
  'source.init.position' = 'LATEST',
  'format' = 'json',
  'json.path.SECTOR' = '$.sector',
  'json.path.PRICE' = '$.price'
);

CREATE TABLE "CompanyName" (
  "Ticker" VARCHAR(4),
  "Company" VARCHAR(64)
) WITH (
  'connector' = 'filesystem',
  'path' = 's3://reference-data/companies.csv',
  'format' = 'csv'
);

-- Where the rows of DESTINATION_SQL_STREAM go.
CREATE TABLE "DESTINATION_SQL_STREAM" WITH (
  'connector' = 'kinesis', 'stream.arn' = 'arn:aws:kinesis:us-east-1:123456789012:stream/out', 'format' = 'csv'
);

-- The application's SQL, unchanged.
CREATE OR REPLACE STREAM "DESTINATION_SQL_STREAM" (ticker_symbol VARCHAR(4), price REAL);
CREATE OR REPLACE PUMP "STREAM_PUMP" AS INSERT INTO "DESTINATION_SQL_STREAM"
SELECT STREAM "TICKER_SYMBOL", "PRICE" FROM "SOURCE_SQL_STREAM_001" WHERE "SECTOR" SIMILAR TO '%TECH%';
-- warning: SOURCE_SQL_STREAM_001: the Firehose stream clicks cannot be read; name the Kinesis stream that feeds it, or let producers write to one
