-- dialect: kda
-- second: converted from a Kinesis Data Analytics for SQL application.

CREATE TABLE "SOURCE_SQL_STREAM_001" (
  "Ticker" VARCHAR(4),
  "Company" VARCHAR(64)
) WITH (
  'connector' = 'stream',
  'stream' = 'in',
  'format' = 'csv',
  'csv.field-delimiter' = '\t',
  'csv.row-delimiter' = '\r\n'
);

CREATE TABLE "DESTINATION_SQL_STREAM" WITH ('connector' = 'print');

-- The application's SQL, unchanged.
CREATE OR REPLACE STREAM "DESTINATION_SQL_STREAM" (ticker_symbol VARCHAR(4), price REAL);
CREATE OR REPLACE PUMP "STREAM_PUMP" AS INSERT INTO "DESTINATION_SQL_STREAM"
SELECT STREAM "TICKER_SYMBOL", "PRICE" FROM "SOURCE_SQL_STREAM_001" WHERE "SECTOR" SIMILAR TO '%TECH%';
