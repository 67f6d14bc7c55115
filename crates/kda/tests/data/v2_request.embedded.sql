-- dialect: kda
-- second: converted from a Kinesis Data Analytics for SQL application.

CREATE TABLE "SOURCE_SQL_STREAM_001" (
  "TICKER_SYMBOL" VARCHAR(4),
  "SECTOR" VARCHAR(16),
  "PRICE" REAL
) WITH (
  'connector' = 'stream',
  'stream' = 'clicks',
  'source.init.position' = 'LATEST',
  'format' = 'json',
  'json.path.SECTOR' = '$.sector',
  'json.path.PRICE' = '$.price'
);

-- A copy of s3://reference-data/companies.csv.
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
  'connector' = 'stream', 'stream' = 'out', 'format' = 'csv'
);

-- The application's SQL, unchanged.
CREATE OR REPLACE STREAM "DESTINATION_SQL_STREAM" (ticker_symbol VARCHAR(4), price REAL);
CREATE OR REPLACE PUMP "STREAM_PUMP" AS INSERT INTO "DESTINATION_SQL_STREAM"
SELECT STREAM "TICKER_SYMBOL", "PRICE" FROM "SOURCE_SQL_STREAM_001" WHERE "SECTOR" SIMILAR TO '%TECH%';
-- warning: CompanyName: companies.csv in the working folder is to be a copy of s3://reference-data/companies.csv
