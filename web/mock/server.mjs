// A stand-in for the service, for working on the page alone: the routes of docs/http.md with made-up data.
// Serves the built page under the same Content-Security-Policy too. Listens on 127.0.0.1 only.
//
//   node mock/server.mjs [--port 8080] [--token secret]
import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { append, badRecords, createView, describeQuery, dropQuery, queries, start, streams, tables } from "./data.mjs";

const { values: options } = parseArgs({ options: { port: { type: "string", default: "8080" }, token: { type: "string" } } });
const DIST = fileURLToPath(new URL("../dist/", import.meta.url));
const CSP =
  "default-src 'self'; script-src 'self' 'wasm-unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; worker-src 'self' blob:; connect-src 'self' blob: data:; img-src 'self' data:; font-src 'self' data:";
const MIME = { ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".wasm": "application/wasm", ".svg": "image/svg+xml" };

const json = (response, status, body) => {
  response.writeHead(status, { "content-type": status < 400 ? "application/json" : "application/problem+json" });
  response.end(body === undefined ? undefined : JSON.stringify(body));
};
const problem = (response, status, title, detail, more = {}) => json(response, status, { title, status, detail, ...more });

const bodyOf = async (request) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks).toString("utf8");
};

/** What is wrong with a script, in the API's words; the mock knows a misspelt keyword and an unknown table. */
function faultsOf(sql) {
  const at = (index) => ({ line: sql.slice(0, index).split("\n").length, column: index - sql.lastIndexOf("\n", index - 1) });
  const misspelt = /\b(SELCT|FORM|GRUOP)\b/i.exec(sql);
  if (misspelt) {
    const meant = { SELCT: "SELECT", FORM: "FROM", GRUOP: "GROUP" }[misspelt[0].toUpperCase()];
    return [{ title: "Syntax error", status: 400, detail: `unexpected '${misspelt[0]}'`, code: "E01", hint: `did you mean ${meant}?`, ...at(misspelt.index) }];
  }
  const from = /\bFROM\s+"?(?!TABLE\b)(\w+)"?/i.exec(sql);
  if (from && !tables.has(from[1]) && !streams.has(from[1]) && from[1] !== "error_stream")
    return [{ title: "Query refused", status: 400, detail: `no table or stream '${from[1]}'`, code: "E07", hint: `SHOW TABLES lists what there is`, ...at(from.index + from[0].indexOf(from[1])) }];
  return [];
}

const statementsOf = (sql) => sql.split(";").map((text) => text.trim()).filter(Boolean);
const NAME = /^CREATE\s+(?:MATERIALIZED\s+VIEW|TABLE|VIEW)\s+"?(\w+)"?/i;
const kindOf = (statement) => (/^CREATE\s+TABLE/i.test(statement) ? "table" : /^CREATE\s+VIEW/i.test(statement) ? "view" : /^(CREATE|INSERT)/i.test(statement) ? "query" : /^DROP/i.test(statement) ? "dropped" : "rows");

function run(statement) {
  const kind = kindOf(statement);
  const name = NAME.exec(statement)?.[1] ?? /^(?:INSERT INTO|DROP\s+\w+(?:\s+VIEW)?)\s+"?(\w+)"?/i.exec(statement)?.[1];
  if (kind === "query" && name) createView(name, statement);
  if (kind === "dropped") dropQuery(name);
  if (kind !== "rows") return { statement, kind, name };
  const table = tables.get(/\bFROM\s+"?(\w+)"?/i.exec(statement)?.[1]) ?? tables.get("events_per_user");
  const limit = Number(/\bLIMIT\s+(\d+)/i.exec(statement)?.[1] ?? Infinity);
  return { statement, kind, columns: table.columns, rows: [...table.rows.values()].slice(0, limit) };
}

function changes(request, response, table) {
  response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
  const send = ({ id, event, data }) => response.write(`id: ${id}\nevent: ${event}\ndata: ${data}\n\n`);
  table.since(Number(request.headers["last-event-id"] ?? 0)).forEach(send);
  table.watchers.add(send);
  const keepAlive = setInterval(() => response.write(": still here\n\n"), 15_000);
  request.on("close", () => {
    table.watchers.delete(send);
    clearInterval(keepAlive);
  });
}

/** [method, pattern, handler(request, response, names, url)] in order. */
const routes = [
  ["POST", /^\/api\/v1\/sql$/, async (request, response) => {
    const sql = await sqlOf(request);
    const [fault] = faultsOf(sql);
    if (fault) return problem(response, 400, fault.title, fault.detail, fault);
    json(response, 200, { results: statementsOf(sql).map(run) });
  }],
  ["POST", /^\/api\/v1\/sql\/check$/, async (request, response) => {
    const sql = await sqlOf(request);
    const errors = faultsOf(sql);
    json(response, 200, { statements: errors.length ? [] : statementsOf(sql).map((statement) => ({ statement, kind: kindOf(statement), name: NAME.exec(statement)?.[1] })), warnings: [], errors });
  }],
  ["GET", /^\/api\/v1\/tables$/, (_, response) => json(response, 200, { tables: [...tables.values()].map((table) => table.describe()) })],
  ["GET", /^\/api\/v1\/tables\/([^/]+)$/, (_, response, [name]) => withTable(response, name, (table) => json(response, 200, table.describe()))],
  ["GET", /^\/api\/v1\/tables\/([^/]+)\/rows$/, (_, response, [name], url) => withTable(response, name, (table) => json(response, 200, { rows: [...table.rows.values()].slice(0, Number(url.searchParams.get("limit") ?? 100)), total: table.rows.size }))],
  ["GET", /^\/api\/v1\/tables\/([^/]+)\/changes$/, (request, response, [name]) => withTable(response, name, (table) => changes(request, response, table))],
  ["GET", /^\/api\/v1\/queries$/, (_, response) => json(response, 200, { queries: [...queries.values()].map(describeQuery) })],
  ["GET", /^\/api\/v1\/queries\/([^/]+)$/, (_, response, [name]) => withQuery(response, name, (query) => json(response, 200, describeQuery(query)))],
  ["DELETE", /^\/api\/v1\/queries\/([^/]+)$/, (_, response, [name]) => withQuery(response, name, () => (dropQuery(name), json(response, 204)))],
  ["POST", /^\/api\/v1\/queries\/([^/]+)\/(pause|resume)$/, (_, response, [name, verb]) => withQuery(response, name, (query) => {
    query.state = verb === "pause" ? "paused" : "running";
    json(response, 200, describeQuery(query));
  })],
  ["GET", /^\/api\/v1\/streams$/, (_, response) => json(response, 200, { streams: [...streams.values()].map(describeStream) })],
  ["GET", /^\/api\/v1\/streams\/([^/]+)$/, (_, response, [name]) => withStream(response, name, (stream) => json(response, 200, { ...describeStream(stream), shard_list: shardsOf(stream) }))],
  ["POST", /^\/api\/v1\/streams\/([^/]+)$/, async (request, response, [name]) => {
    if (streams.has(name)) return problem(response, 409, "Stream exists", `stream '${name}' exists already`);
    const { shards = 1 } = JSON.parse((await bodyOf(request)) || "{}");
    streams.set(name, { name, shards, status: "ACTIVE", retention_hours: 24, records: [] });
    json(response, 201, describeStream(streams.get(name)));
  }],
  ["DELETE", /^\/api\/v1\/streams\/([^/]+)$/, (_, response, [name]) => withStream(response, name, () => (streams.delete(name), json(response, 204)))],
  ["GET", /^\/api\/v1\/streams\/([^/]+)\/sample$/, (_, response, [name], url) => withStream(response, name, (stream) => json(response, 200, { records: stream.records.slice(0, Number(url.searchParams.get("limit") ?? 10)) }))],
  ["POST", /^\/api\/v1\/streams\/([^/]+)\/records$/, (request, response, [name], url) => withStream(response, name, async (stream) => {
    const text = await bodyOf(request);
    try {
      const values = request.headers["content-type"]?.includes("ndjson") ? text.split("\n").filter(Boolean).map(JSON.parse) : [JSON.parse(text)].flat();
      const records = values.map((value) => append(stream, value, value[url.searchParams.get("key")]));
      json(response, 200, { stored: records.length, records });
    } catch (error) {
      problem(response, 400, "Record refused", error.message, { line: 1 });
    }
  })],
  ["GET", /^\/api\/v1\/errors$/, (_, response) => json(response, 200, { errors: badRecords })],
  ["GET", /^\/(health|ready)$/, (_, response) => json(response, 200, { status: "ok" })],
];

const orMissing = (map, what) => (response, name, then) => (map.has(name) ? then(map.get(name)) : problem(response, 404, "Not found", `no ${what} '${name}'`));
const withTable = orMissing(tables, "table");
const withQuery = orMissing(queries, "query");
const withStream = orMissing(streams, "stream");
const describeStream = ({ name, shards, status, retention_hours }) => ({ name, shards, status, retention_hours });
const shardsOf = (stream) => Array.from({ length: stream.shards }, (_, n) => ({ shard: `shardId-${String(n).padStart(12, "0")}`, records: stream.records.filter((r) => r.shard.endsWith(String(n))).length, first: null, last: null, open: true }));
const sqlOf = async (request) => {
  const body = await bodyOf(request);
  return request.headers["content-type"]?.includes("json") ? JSON.parse(body).sql : body;
};

async function file(response, path) {
  const name = normalize(path === "/" ? "index.html" : path).replace(/^([/\\]|\.\.)+/, "");
  try {
    const body = await readFile(join(DIST, name));
    response.writeHead(200, { "content-type": MIME[extname(name)] ?? "application/octet-stream", "content-security-policy": CSP });
    response.end(body);
  } catch {
    problem(response, 404, "Not found", path);
  }
}

const server = createServer(async (request, response) => {
  const url = new URL(request.url, "http://mock");
  if (!/^\/(api\/|health|ready)/.test(url.pathname)) return file(response, url.pathname);
  if (options.token && request.headers.authorization !== `Bearer ${options.token}`) return problem(response, 401, "Not allowed", "a bearer token is needed");
  for (const [method, pattern, handle] of routes) {
    const found = pattern.exec(url.pathname);
    if (found && method === request.method) return handle(request, response, found.slice(1).map(decodeURIComponent), url);
  }
  problem(response, 404, "Not found", `${request.method} ${url.pathname}`);
});
start();
server.listen(Number(options.port), "127.0.0.1", () => console.log(`mock: http://127.0.0.1:${server.address().port}`));
