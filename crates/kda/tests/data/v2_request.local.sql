-- dialect: kda
-- second: converted from a Kinesis Data Analytics for SQL application.

CREATE TABLE "SOURCE_SQL_STREAM_001" (
  "TICKER_SYMBOL" VARCHAR(4),
  "SECTOR" VARCHAR(16),
  "PRICE" REAL
) WITH (
  'connector' = 'stream',
  'stream' = 'clicks',
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

CREATE TABLE "DESTINATION_SQL_STREAM" WITH ('connector' = 'print');

-- The application's SQL, unchanged.
CREATE OR REPLACE STREAM "DESTINATION_SQL_STREAM" (ticker_symbol VARCHAR(4), price REAL);
CREATE OR REPLACE PUMP "STREAM_PUMP" AS INSERT INTO "DESTINATION_SQL_STREAM"
SELECT STREAM "TICKER_SYMBOL", "PRICE" FROM "SOURCE_SQL_STREAM_001" WHERE "SECTOR" SIMILAR TO '%TECH%';
