-- dialect: kda
-- fromTemplate: converted from a Kinesis Data Analytics for SQL application.

CREATE TABLE "SOURCE_SQL_STREAM_001" (
  "n" INTEGER
) WITH (
  'connector' = 'kinesis',
  'stream' = 'StackName-in',
  'source.init.position' = 'LATEST',
  'format' = 'json'
);

CREATE TABLE "CompanyName" (
  "Ticker" VARCHAR(4),
  "Company" VARCHAR(64)
) WITH (
  'connector' = 'filesystem',
  'path' = 's3://Bucket/companies.csv',
  'format' = 'csv'
);

-- Where the rows of DESTINATION_SQL_STREAM go.
CREATE TABLE "DESTINATION_SQL_STREAM" WITH (
  'connector' = 'kinesis', 'stream' = 'OutputStream', 'format' = 'json'
);

-- Where the rows of error_stream go.
CREATE TABLE "error_stream" WITH (
  'connector' = 'firehose', 'delivery-stream' = 'errors', 'aws.region' = 'eu-west-1', 'format' = 'json'
);

-- The application's SQL, unchanged.
CREATE OR REPLACE STREAM DESTINATION_SQL_STREAM (n INTEGER);
CREATE OR REPLACE PUMP p AS INSERT INTO DESTINATION_SQL_STREAM
SELECT STREAM "n" FROM SOURCE_SQL_STREAM_001 WHERE "n" > 10;
-- warning: $.Resources.Other: Other is left out: its ApplicationName is not that of App
-- warning: $.Resources.App.Properties.Inputs[0].KinesisStreamsInput.ResourceARN: `AWS::StackName` is only known to the stack; its name is taken instead
-- warning: $.Resources.Companies.Properties.ReferenceDataSource.S3ReferenceDataSource.BucketARN: `Bucket` is only known to the stack; its name is taken instead
-- warning: $.Resources.Output.Properties.Output.KinesisStreamsOutput.ResourceARN: `OutputStream` is only known to the stack; its name is taken instead
