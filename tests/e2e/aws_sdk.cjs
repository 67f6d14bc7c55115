// Writes and reads a stream with the AWS SDK for JavaScript, which speaks HTTP/2 in clear text.
// Arguments: address, stream, records. Prints what it found as JSON.
const {
  CreateStreamCommand, GetRecordsCommand, GetShardIteratorCommand, KinesisClient, ListShardsCommand, PutRecordsCommand,
  waitUntilStreamExists,
} = require("@aws-sdk/client-kinesis");

const BATCH = 500;

async function main([endpoint, StreamName, count]) {
  const credentials = { accessKeyId: "id", secretAccessKey: "secret" };
  const client = new KinesisClient({ endpoint, region: "us-east-1", credentials });
  await client.send(new CreateStreamCommand({ StreamName, ShardCount: 2 }));
  await waitUntilStreamExists({ client, maxWaitTime: 30, minDelay: 1 }, { StreamName });
  let failed = 0;
  for (let start = 0; start < +count; start += BATCH) {
    const Records = Array.from({ length: BATCH }, (_, i) => ({ Data: Buffer.from(`{"n":${start + i}}`), PartitionKey: `k${(start + i) % 50}` }));
    failed += (await client.send(new PutRecordsCommand({ StreamName, Records }))).FailedRecordCount;
  }
  const read = [];
  for (const { ShardId } of (await client.send(new ListShardsCommand({ StreamName }))).Shards) {
    let { ShardIterator } = await client.send(new GetShardIteratorCommand({ StreamName, ShardId, ShardIteratorType: "TRIM_HORIZON" }));
    for (let behind = true; behind; ) {
      const page = await client.send(new GetRecordsCommand({ ShardIterator }));
      read.push(...page.Records.map((record) => JSON.parse(Buffer.from(record.Data).toString()).n));
      ShardIterator = page.NextShardIterator;
      behind = page.MillisBehindLatest > 0;
    }
  }
  const error = await client.send(new CreateStreamCommand({ StreamName, ShardCount: 1 })).catch((reason) => reason.name);
  const protocol = client.config.requestHandler.metadata?.handlerProtocol ?? client.config.requestHandler.constructor.name;
  console.log(JSON.stringify({ failed, read, error, protocol }));
  client.destroy();
}

main(process.argv.slice(2)).catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
