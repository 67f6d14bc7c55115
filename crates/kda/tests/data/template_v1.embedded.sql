-- dialect: kda
-- fromTemplate: converted from a Kinesis Data Analytics for SQL application.

CREATE TABLE "SOURCE_SQL_STREAM_001" (
  "n" INTEGER
) WITH (
  'connector' = 'stream',
  'stream' = 'StackName-in',
  'source.init.position' = 'LATEST',
  'format' = 'json'
);

-- A copy of s3://Bucket/companies.csv.
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
  'connector' = 'stream', 'stream' = 'OutputStream', 'format' = 'json'
);

-- Where the rows of error_stream go.
CREATE TABLE "error_stream" WITH (
  'connector' = 'stream', 'stream' = 'errors', 'format' = 'json'
);

-- The application's SQL, unchanged.
CREATE OR REPLACE STREAM DESTINATION_SQL_STREAM (n INTEGER);
CREATE OR REPLACE PUMP p AS INSERT INTO DESTINATION_SQL_STREAM
SELECT STREAM "n" FROM SOURCE_SQL_STREAM_001 WHERE "n" > 10;
-- warning: $.Resources.Other: Other is left out: its ApplicationName is not that of App
-- warning: $.Resources.App.Properties.Inputs[0].KinesisStreamsInput.ResourceARN: `AWS::StackName` is only known to the stack; its name is taken instead
-- warning: $.Resources.Companies.Properties.ReferenceDataSource.S3ReferenceDataSource.BucketARN: `Bucket` is only known to the stack; its name is taken instead
-- warning: $.Resources.Output.Properties.Output.KinesisStreamsOutput.ResourceARN: `OutputStream` is only known to the stack; its name is taken instead
-- warning: CompanyName: companies.csv in the working folder is to be a copy of s3://Bucket/companies.csv
-- warning: error_stream: the stream errors stands in for the Firehose stream errors
