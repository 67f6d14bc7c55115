// Subscribes to a shard with the AWS SDK for JavaScript, over HTTP/2 in clear text and signed.
// Arguments: address, access key, secret, stream, records. Prints what it found as JSON.
const {
  CreateStreamCommand, KinesisClient, PutRecordCommand, RegisterStreamConsumerCommand, SubscribeToShardCommand,
} = require("@aws-sdk/client-kinesis");

const SHARD = "shardId-000000000000";

async function main([endpoint, accessKeyId, secretAccessKey, StreamName, count]) {
  const client = new KinesisClient({ endpoint, region: "us-east-1", credentials: { accessKeyId, secretAccessKey } });
  await client.send(new CreateStreamCommand({ StreamName, ShardCount: 1 }));
  const StreamARN = `arn:aws:kinesis:us-east-1:000000000000:stream/${StreamName}`;
  const { Consumer } = await client.send(new RegisterStreamConsumerCommand({ StreamARN, ConsumerName: "js" }));
  const { ConsumerARN } = Consumer;
  const start = { ConsumerARN, ShardId: SHARD, StartingPosition: { Type: "LATEST" } };
  const { EventStream } = await client.send(new SubscribeToShardCommand(start));
  const read = [];
  const reading = (async () => {
    for await (const { SubscribeToShardEvent: event } of EventStream) {
      read.push(...event.Records.map((record) => +Buffer.from(record.Data).toString()));
      if (read.length >= +count) return;
    }
  })();
  for (let n = 0; n < +count; n++) {
    await client.send(new PutRecordCommand({ StreamARN, Data: Buffer.from(`${n}`), PartitionKey: "k" }));
  }
  await reading;
  const again = await client.send(new SubscribeToShardCommand(start)).catch((reason) => reason.name);
  // The subscription would keep the process for five minutes.
  process.stdout.write(JSON.stringify({ read, again }), () => process.exit());
}

main(process.argv.slice(2)).catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
