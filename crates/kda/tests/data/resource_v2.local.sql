-- dialect: kda
-- Converted from a Kinesis Data Analytics for SQL application.

CREATE TABLE "S_001" (
  "n" INTEGER
) WITH (
  'connector' = 'stream',
  'stream' = 'Events',
  'format' = 'json'
);

-- The application's SQL, unchanged.
SELECT 1;
-- warning: $.Properties.ApplicationConfiguration.SqlApplicationConfiguration.Inputs[0].KinesisStreamsInput.ResourceARN: `Events` is only known to the stack; its name is taken instead
