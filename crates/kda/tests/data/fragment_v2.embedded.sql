-- dialect: kda
-- Converted from a Kinesis Data Analytics for SQL application.

CREATE TABLE "S_001" (
  "n" INTEGER
) WITH (
  'connector' = 'stream',
  'stream' = 'Events',
  'source.init.position' = 'LATEST',
  'format' = 'json'
);

-- Where the rows of DESTINATION_SQL_STREAM go.
CREATE TABLE "DESTINATION_SQL_STREAM" WITH (
  'connector' = 'stream', 'stream' = 'Notify', 'format' = 'json'
);

-- The application's SQL, unchanged.
SELECT 1;
-- warning: $.App.Properties.ApplicationConfiguration.SqlApplicationConfiguration.Inputs[0].KinesisStreamsInput.ResourceARN: `Events` is only known to the stack; its name is taken instead
-- warning: $.Out.Properties.Output.LambdaOutput.ResourceARN: `Notify` is only known to the stack; its name is taken instead
-- warning: DESTINATION_SQL_STREAM: the stream Notify stands in for the Lambda function Notify
