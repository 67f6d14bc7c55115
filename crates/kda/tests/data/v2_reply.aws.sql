-- dialect: kda
-- second: converted from a Kinesis Data Analytics for SQL application.

CREATE TABLE "SOURCE_SQL_STREAM_001" (
  "Ticker" VARCHAR(4),
  "Company" VARCHAR(64)
) WITH (
  'connector' = 'kinesis',
  'stream.arn' = 'arn:aws:kinesis:eu-west-1:123456789012:stream/in',
  'source.init.position' = 'TRIM_HORIZON',
  'format' = 'csv',
  'csv.field-delimiter' = '\t',
  'csv.row-delimiter' = '\r\n'
);

-- Where the rows of DESTINATION_SQL_STREAM go.
CREATE TABLE "DESTINATION_SQL_STREAM" WITH (
  'connector' = 'lambda', 'function' = 'arn:aws:lambda:eu-west-1:123456789012:function:in', 'format' = 'json'
);

-- The application's SQL, unchanged.
CREATE OR REPLACE STREAM "DESTINATION_SQL_STREAM" (ticker_symbol VARCHAR(4), price REAL);
CREATE OR REPLACE PUMP "STREAM_PUMP" AS INSERT INTO "DESTINATION_SQL_STREAM"
SELECT STREAM "TICKER_SYMBOL", "PRICE" FROM "SOURCE_SQL_STREAM_001" WHERE "SECTOR" SIMILAR TO '%TECH%';
