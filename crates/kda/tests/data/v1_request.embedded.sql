-- dialect: kda
-- ExampleApp: converted from a Kinesis Data Analytics for SQL application.

CREATE TABLE "SOURCE_SQL_STREAM_001" (
  "TICKER_SYMBOL" VARCHAR(4),
  "SECTOR" VARCHAR(16),
  "PRICE" REAL
) WITH (
  'connector' = 'stream',
  'stream' = 'ExampleInputStream',
  'source.init.position' = 'LATEST',
  'format' = 'json',
  'json.path.SECTOR' = '$.sector',
  'json.path.PRICE' = '$.price'
);

-- Where the rows of DESTINATION_SQL_STREAM go.
CREATE TABLE "DESTINATION_SQL_STREAM" WITH (
  'connector' = 'stream', 'stream' = 'ExampleOutputStream', 'format' = 'json'
);

-- The rows of DESTINATION_SQL_STREAM go here, too.
CREATE TABLE "DESTINATION_SQL_STREAM_2" WITH (
  'connector' = 'stream', 'stream' = 'notify', 'format' = 'json'
) LIKE "DESTINATION_SQL_STREAM";

-- Where the rows of error_stream go.
CREATE TABLE "error_stream" WITH (
  'connector' = 'stream', 'stream' = 'ExampleInputStream-out', 'format' = 'csv'
);

-- The application's SQL, unchanged.
CREATE OR REPLACE STREAM "DESTINATION_SQL_STREAM" (ticker_symbol VARCHAR(4), price REAL);
CREATE OR REPLACE PUMP "STREAM_PUMP" AS INSERT INTO "DESTINATION_SQL_STREAM"
SELECT STREAM "TICKER_SYMBOL", "PRICE" FROM "SOURCE_SQL_STREAM_001" WHERE "SECTOR" SIMILAR TO '%TECH%';
-- warning: DESTINATION_SQL_STREAM_2: the stream notify stands in for the Lambda function notify:$LATEST
-- warning: error_stream: the stream ExampleInputStream-out stands in for the Firehose stream ExampleInputStream
