// kinesis-local, which listens on all interfaces by itself, on 127.0.0.1 alone and in clear text:
//   node kinesis-local.js <its folder> <port>
const { Server } = require('node:net');
const path = require('node:path');

const [folder, port] = process.argv.slice(2);
const listen = Server.prototype.listen;
Server.prototype.listen = function (where, ...rest) {
  const callbacks = rest.filter((argument) => typeof argument === 'function');
  const given = typeof where === 'object' && where !== null ? where : { port: where };
  return listen.call(this, { ...given, host: '127.0.0.1' }, ...callbacks);
};
Object.assign(process.env, {
  KINESIS_MOCK_CERT_PATH: path.join(folder, 'server.json'),
  KINESIS_MOCK_PLAIN_PORT: port,
  // Any free one: nobody asks for it.
  KINESIS_MOCK_TLS_PORT: '0',
  LOG_LEVEL: 'ERROR',
  SHARD_LIMIT: '100',
});
for (const what of ['CREATE_STREAM', 'SPLIT_SHARD', 'MERGE_SHARDS', 'UPDATE_SHARD_COUNT', 'REGISTER_STREAM_CONSUMER']) {
  process.env[`${what}_DURATION`] = '5ms';
}
require(path.join(folder, 'main.js'));
