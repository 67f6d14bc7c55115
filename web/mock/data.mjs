// What the mock server serves: live tables that tick, queries, streams and bad records.
// No HTTP here; `server.mjs` answers from it.

const NAMES = ["ada", "bruno", "chen", "dalia", "emre", "farida", "goran", "hana", "ines", "jonas", "kofi", "lena"];
const WINDOW_MS = 60_000;
const HISTORY_MAX = 5_000; // events kept for Last-Event-ID
const SENSORS = 20_000;
export const SENSOR_UPSERTS_PER_SECOND = 2_000;

/** 2026-01-01T00:00:00.000, as the API writes a TIMESTAMP without a zone. */
export const stamp = (ms) => new Date(ms).toISOString().slice(0, -1);
const pick = (list) => list[Math.floor(Math.random() * list.length)];

/** A live table: rows by key, the newest changes with ids, and who is watching. */
export class LiveTable {
  constructor(name, columns, key, query) {
    Object.assign(this, { name, columns, key, query });
    this.rows = new Map();
    this.history = [];
    this.id = 0;
    this.watchers = new Set();
  }
  keyOf(row) {
    return this.key.map((column) => row[column]).join(",");
  }
  describe() {
    const { name, columns, key, query } = this;
    return { name, columns, key, rows: this.rows.size, query };
  }
  put(rows) {
    for (const row of rows) this.rows.set(this.keyOf(row), row);
  }
  emit(event, body) {
    this.id += 1;
    const message = { id: this.id, event, data: JSON.stringify(body) };
    this.history.push(message);
    if (this.history.length > HISTORY_MAX) this.history.splice(0, HISTORY_MAX / 2);
    for (const send of this.watchers) send(message);
  }
  upsert(rows) {
    this.put(rows);
    this.emit("upsert", { rows });
  }
  remove(rows) {
    for (const row of rows) this.rows.delete(this.keyOf(row));
    this.emit("delete", { rows: rows.map((row) => Object.fromEntries(this.key.map((column) => [column, row[column]]))) });
  }
  /** What a client with this Last-Event-ID missed, or a snapshot. */
  since(lastId) {
    const kept = this.history.filter((message) => message.id > lastId);
    if (lastId > 0 && lastId <= this.id && kept.length === this.id - lastId) return kept;
    return [{ id: this.id, event: "snapshot", data: JSON.stringify({ rows: [...this.rows.values()] }) }];
  }
}

const column = (name, type) => ({ name, type });

function eventsPerUser() {
  const table = new LiveTable(
    "events_per_user",
    [
      column("window_start", "TIMESTAMP(3)"),
      column("window_end", "TIMESTAMP(3)"),
      column("user_id", "STRING"),
      column("events", "BIGINT"),
      column("amount", "DOUBLE"),
      column("is_final", "BOOLEAN"),
    ],
    ["window_start", "window_end", "user_id"],
    "events_per_user",
  );
  const row = (start, user_id, events, is_final) => ({
    window_start: stamp(start),
    window_end: stamp(start + WINDOW_MS),
    user_id,
    events,
    amount: Math.round(events * (7 + Math.random() * 4) * 100) / 100,
    is_final,
  });
  const windowAt = (now) => now - (now % WINDOW_MS);
  let open = windowAt(Date.now());
  for (let back = 5; back >= 0; back--)
    table.put(NAMES.map((name) => row(open - back * WINDOW_MS, name, 20 + Math.floor(Math.random() * 900), back > 0)));
  table.tick = () => {
    const start = windowAt(Date.now());
    if (start !== open) {
      table.upsert([...table.rows.values()].filter((r) => !r.is_final).map((r) => ({ ...r, is_final: true })));
      open = start;
    }
    table.upsert(
      [pick(NAMES), pick(NAMES), pick(NAMES)].map((name) => {
        const before = table.rows.get(`${stamp(open)},${stamp(open + WINDOW_MS)},${name}`)?.events ?? 0;
        return row(open, name, before + 1 + Math.floor(Math.random() * 5), false);
      }),
    );
    const old = [...table.rows.values()].filter((r) => r.window_start < stamp(open - 10 * WINDOW_MS));
    if (old.length > 0) table.remove(old);
    table.emit("watermark", { rows: [], watermark: stamp(Date.now() - 5_000) });
  };
  table.tickMs = 300;
  return table;
}

function sensorLatest() {
  const table = new LiveTable(
    "sensor_latest",
    [
      column("sensor_id", "BIGINT"),
      column("site", "STRING"),
      column("temperature", "DOUBLE"),
      column("readings", "BIGINT"),
      column("last_seen", "TIMESTAMP(3)"),
      column("position", "ROW<lat DOUBLE, lon DOUBLE>"),
    ],
    ["sensor_id"],
    "sensor_latest",
  );
  const reading = (index, before) => ({
    sensor_id: 9_000_000_000 + index,
    site: `site-${String(index % 40).padStart(2, "0")}`,
    temperature: Math.round((18 + Math.random() * 9) * 100) / 100,
    readings: (before?.readings ?? 3_000_000_000) + 1,
    last_seen: stamp(Date.now()),
    position: { lat: 48 + (index % 100) / 100, lon: 16 + (index % 77) / 100 },
  });
  table.put(Array.from({ length: SENSORS }, (_, index) => reading(index)));
  table.tickMs = 50;
  table.tick = () => {
    if (table.watchers.size === 0) return;
    const batch = SENSOR_UPSERTS_PER_SECOND * (table.tickMs / 1000);
    table.upsert(
      Array.from({ length: batch }, (_, n) => {
        // The first sensors move every time, so the top of an unsorted grid is seen to change.
        const index = n < 5 ? n : Math.floor(Math.random() * SENSORS);
        return reading(index, table.rows.get(String(9_000_000_000 + index)));
      }),
    );
  };
  return table;
}

export const tables = new Map([eventsPerUser(), sensorLatest()].map((table) => [table.name, table]));

const WINDOW_SQL = `CREATE MATERIALIZED VIEW events_per_user AS
SELECT window_start, window_end, user_id, count(*) AS events, sum(amount) AS amount
FROM TABLE(TUMBLE(TABLE events, DESCRIPTOR(server_time), INTERVAL '1' MINUTE))
GROUP BY window_start, window_end, user_id`;

const GRAPH = {
  nodes: [
    { id: "source:events", label: "events", kind: "source" },
    { id: "hot:events", label: "decode, filter, assign panes", kind: "hot" },
    { id: "operator:0", label: "count(*), sum(amount) by user_id", kind: "operator" },
    { id: "close:0", label: "tumble 1 min", kind: "close" },
    { id: "sink:events_per_user", label: "events_per_user", kind: "sink" },
  ],
  edges: [
    ["source:events", "hot:events"],
    ["hot:events", "operator:0"],
    ["operator:0", "close:0"],
    ["close:0", "sink:events_per_user"],
  ],
};

const startedMs = Date.now();
const query = (name, sql, source, rate, shards, extra) => ({ name, sql, source, rate, shards, state: "running", late: 0, rejected: 0, error: null, kind: "table", ...extra });

export const queries = new Map(
  [
    query("events_per_user", WINDOW_SQL, "events", 1_240, 4, { late: 17, rejected: 3, laggard: 2 }),
    query("sensor_latest", "CREATE MATERIALIZED VIEW sensor_latest AS\nSELECT sensor_id, max(site) AS site, last_value(temperature) AS temperature\nFROM readings GROUP BY sensor_id", "readings", 2_000, 2, {}),
    query("archive", "INSERT INTO archive SELECT * FROM events", "events", 1_240, 4, { kind: "sink", state: "failed", error: "s3://lake/archive: access denied; check the role's s3:PutObject on this prefix" }),
  ].map((each) => [each.name, each]),
);

/** A query as the API describes it. */
export function describeQuery(q) {
  const now = Date.now();
  const live = q.state === "running";
  const rowsIn = Math.floor(((now - startedMs) / 1000 + 600) * q.rate);
  const lagOf = (shard) => (q.laggard === shard ? 41_300 : 120 + shard * 35);
  const shards = Array.from({ length: q.shards }, (_, shard) => ({
    source: q.source,
    shard: `shardId-${String(shard).padStart(12, "0")}`,
    state: shard === 3 ? "idle" : "active",
    offset: `4966${String(1_000_000_000_000 + Math.floor(rowsIn / q.shards) + shard * 7919)}`,
    watermark: shard === 3 ? null : stamp(now - 5_000 - lagOf(shard)),
    lag_ms: shard === 3 ? 0 : lagOf(shard),
  }));
  const watermark = shards.map((s) => s.watermark).filter(Boolean).sort()[0];
  const graph = JSON.parse(JSON.stringify(GRAPH).replaceAll("events_per_user", q.name).replaceAll(":events\"", `:${q.source}"`).replaceAll("\"label\":\"events\"", `"label":"${q.source}"`));
  return {
    name: q.name, state: q.state, sql: q.sql, target: { kind: q.kind, name: q.name }, sources: [q.source],
    rows_in: rowsIn, rows_out: Math.floor(rowsIn / 31), rows_per_second: live ? q.rate * (0.95 + Math.random() * 0.1) : 0,
    filtered: 0, late: q.late, rejected: q.rejected, watermark, open_windows: 2, groups: 31, shards,
    error: q.error, started: `${stamp(startedMs)}Z`, graph,
  };
}

const RECORDS_KEPT = 200;
export const streams = new Map([["events", 4], ["readings", 2]].map(([name, shards]) => [name, { name, shards, status: "ACTIVE", retention_hours: 24, records: [] }]));
let sequence = 0;
/** Stores one JSON value in a stream; answers where it went. */
export function append(stream, data, key) {
  sequence += 1;
  const shard = `shardId-${String(sequence % stream.shards).padStart(12, "0")}`;
  const record = { shard, sequence_number: `4966${String(sequence).padStart(20, "0")}`, key: key ?? `k${sequence}`, arrival: `${stamp(Date.now())}Z`, data };
  stream.records.unshift(record);
  stream.records.length = Math.min(stream.records.length, RECORDS_KEPT);
  return { shard, sequence_number: record.sequence_number };
}
for (let n = 0; n < 40; n++)
  append(streams.get("events"), { user_id: pick(NAMES), event_type: pick(["view", "cart", "order"]), amount: Math.round(Math.random() * 9_000) / 100, server_time: stamp(Date.now() - n * 250) }, pick(NAMES));

const bad = (minutes, error_name, message, raw) => ({
  error_time: stamp(Date.now() - minutes * 60_000), error_level: "ERROR", error_name, message, data_rowtime: stamp(Date.now() - minutes * 60_000 - 900),
  data_row: null, pump_name: "events_per_user", source: "events", shard_id: "shardId-000000000002", sequence_number: `4966${10 ** 12 + minutes}`, raw,
});
export const badRecords = [
  bad(1, "COERCION", "amount: 'twelve' is not a DOUBLE", '{"user_id":"ada","event_type":"order","amount":"twelve","server_time":"2026-01-01T00:00:12.000"}'),
  bad(4, "LATE", "38 s behind the watermark; its window has closed", '{"user_id":"emre","event_type":"view","amount":1.5,"server_time":"2025-12-31T23:58:12.000"}'),
  bad(9, "MALFORMED_JSON", "expected ',' or '}' at byte 31", '{"user_id":"goran","event_type" "cart"'),
];

/** Adds a live table for a continuous query submitted by hand. */
export function createView(name, sql) {
  const table = new LiveTable(name, [column("user_id", "STRING"), column("events", "BIGINT")], ["user_id"], name);
  table.tickMs = 300;
  table.tick = () => {
    const user_id = pick(NAMES);
    table.upsert([{ user_id, events: (table.rows.get(user_id)?.events ?? 0) + 1 }]);
  };
  for (const user_id of NAMES) table.put([{ user_id, events: 1 }]);
  tables.set(name, table);
  queries.set(name, query(name, sql, "events", 1_240, 4, {}));
  table.timer = setInterval(table.tick, table.tickMs);
}

export function dropQuery(name) {
  clearInterval(tables.get(name)?.timer);
  tables.delete(name);
  return queries.delete(name);
}

/** Starts the clocks of all tables. */
export function start() {
  for (const table of tables.values()) table.timer = setInterval(table.tick, table.tickMs);
}
