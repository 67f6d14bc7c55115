// The HTTP API of docs/http.md. Nothing else on the page fetches.
import { createParser } from "eventsource-parser";
import { askForToken, storedToken } from "./token";

export type Column = { name: string; type: string };
export type TableInfo = { name: string; columns: Column[]; key: string[]; rows: number; query: string | null };
export type Shard = { source: string; shard: string; state: "active" | "idle" | "closed" | "pending"; offset: string | null; watermark: string | null; lag_ms: number | null };
export type GraphNode = { id: string; label: string; kind: string };
export type Graph = { nodes: GraphNode[]; edges: [string, string][] };
export type Query = {
  name: string;
  state: "running" | "paused" | "failed" | "finished";
  sql: string;
  target: { kind: "table" | "sink" | "client"; name: string };
  sources: string[];
  rows_in: number;
  rows_out: number;
  rows_per_second: number;
  filtered: number;
  late: number;
  rejected: number;
  watermark: string | null;
  open_windows: number;
  groups: number;
  shards: Shard[];
  error: string | null;
  started: string;
  graph: Graph;
};
export type StreamInfo = { name: string; shards: number; status: string; retention_hours: number };
export type StreamRecord = { shard: string; sequence_number: string; key: string; arrival: string; data?: unknown; data_base64?: string };
export type BadRecord = { error_time: string; error_level: string; error_name: string; message: string; source: string | null; pump_name: string | null; shard_id: string | null; sequence_number: string | null; raw: string | null };
export type Row = Record<string, unknown>;
export type StatementResult = { statement: string; kind: string; name?: string; columns?: Column[]; rows?: Row[]; explain?: string };
export type Problem = { title?: string; status?: number; detail?: string; message?: string; code?: string; line?: number; column?: number; hint?: string };
export type CheckResult = { errors: Problem[]; warnings: Problem[] };
export type Change = { event: "snapshot" | "upsert" | "delete" | "watermark"; rows: Row[]; watermark?: string };

/** An answer that was not 2xx, or none at all (status 0). */
export class ApiError extends Error {
  constructor(readonly problem: Problem) {
    super(problem.detail ?? problem.title ?? `status ${problem.status}`);
  }
  get status(): number {
    return this.problem.status ?? 0;
  }
}
export const problemOf = (error: unknown): Problem => (error instanceof ApiError ? error.problem : { title: "Something went wrong on this page", detail: String(error) });

const BASE = "api/v1";
const path = (...names: string[]): string => [BASE, ...names.map(encodeURIComponent)].join("/");

/** One request; on 401 the user is asked for a token and it is sent again. */
async function send(url: string, init: RequestInit = {}): Promise<Response> {
  for (;;) {
    const headers = new Headers(init.headers);
    const token = storedToken();
    if (token) headers.set("authorization", `Bearer ${token}`);
    let response: Response;
    try {
      response = await fetch(url, { ...init, headers });
    } catch (error) {
      if (init.signal?.aborted) throw error;
      throw new ApiError({ status: 0, title: "Not reachable", detail: "the service does not answer" });
    }
    if (response.status === 401) {
      await askForToken(token);
      continue;
    }
    if (!response.ok) throw new ApiError(await problemIn(response));
    return response;
  }
}

async function problemIn(response: Response): Promise<Problem> {
  const fallback = { title: response.statusText || "Refused", status: response.status };
  const text = await response.text();
  try {
    return { ...fallback, ...(JSON.parse(text) as Problem), status: response.status };
  } catch {
    return { ...fallback, detail: text.slice(0, 500) };
  }
}

/** A 64-bit integer that a double cannot hold stays as its text, where the browser tells what that was. */
const exactNumbers = (_key: string, value: unknown, context?: { source?: string }): unknown =>
  typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value) && context?.source ? context.source : value;

const parse = <T>(text: string): T => JSON.parse(text, exactNumbers as (key: string, value: unknown) => unknown) as T;

async function get<T>(url: string, signal?: AbortSignal): Promise<T> {
  return parse<T>(await (await send(url, { signal })).text());
}
async function post<T>(url: string, body: string, type = "application/json", headers: Record<string, string> = {}): Promise<T> {
  return parse<T>(await (await send(url, { method: "POST", body, headers: { "content-type": type, ...headers } })).text());
}

export const listTables = async (): Promise<TableInfo[]> => (await get<{ tables: TableInfo[] }>(path("tables"))).tables;
export const getTable = (name: string): Promise<TableInfo> => get(path("tables", name));

export const listQueries = async (): Promise<Query[]> => (await get<{ queries: Query[] }>(path("queries"))).queries;
export const getQuery = (name: string): Promise<Query> => get(path("queries", name));
export const pauseQuery = (name: string): Promise<Query> => post(path("queries", name, "pause"), "");
export const resumeQuery = (name: string): Promise<Query> => post(path("queries", name, "resume"), "");
export async function dropQuery(name: string): Promise<void> {
  await send(path("queries", name), { method: "DELETE" });
}

export const listStreams = async (): Promise<StreamInfo[]> => (await get<{ streams: StreamInfo[] }>(path("streams"))).streams;
export const createStream = (name: string, shards: number): Promise<StreamInfo> => post(path("streams", name), JSON.stringify({ shards }));
export const sampleStream = async (name: string, limit: number): Promise<StreamRecord[]> => (await get<{ records: StreamRecord[] }>(`${path("streams", name, "sample")}?limit=${limit}`)).records;
export function sendRecords(stream: string, body: string, key: string): Promise<{ stored: number }> {
  return post(path("streams", stream, "records") + (key ? `?key=${encodeURIComponent(key)}` : ""), body);
}

export const listErrors = async (limit: number): Promise<BadRecord[]> => (await get<{ errors: BadRecord[] }>(`${path("errors")}?limit=${limit}`)).errors;

export const checkSql = (sql: string): Promise<CheckResult> => post(path("sql", "check"), JSON.stringify({ sql }));

/** What a script did; rows of a SELECT over a stream arrive one by one until `signal` or `rowsMax`. */
export async function runSql(sql: string, rowsMax: number, signal: AbortSignal, onRows: (rows: Row[]) => void): Promise<StatementResult[]> {
  const response = await send(path("sql"), { method: "POST", body: JSON.stringify({ sql }), headers: { "content-type": "application/json", accept: "application/json" }, signal });
  if (!response.headers.get("content-type")?.includes("ndjson")) return parse<{ results: StatementResult[] }>(await response.text()).results;
  const rows: Row[] = [];
  let rest = "";
  for await (const text of textOf(response)) {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    rows.push(...lines.filter((line) => line.trim() !== "").map((line) => parse<Row>(line)));
    onRows(rows.slice(0, rowsMax));
    if (rows.length >= rowsMax) break;
  }
  return [{ statement: sql, kind: "rows", rows: rows.slice(0, rowsMax) }];
}

/** Follows a table's changes until the connection ends or `signal` fires. `seen` gets each event and its id, for resuming. */
export async function followChanges(table: string, lastId: string | null, signal: AbortSignal, opened: () => void, seen: (change: Change, id: string | undefined) => void): Promise<void> {
  const headers: Record<string, string> = { accept: "text/event-stream", ...(lastId === null ? {} : { "last-event-id": lastId }) };
  const response = await send(path("tables", table, "changes"), { headers, signal, cache: "no-store" });
  opened();
  const parser = createParser({
    onEvent: ({ event, data, id }) => seen({ rows: [], ...JSON.parse(data), event } as Change, id),
  });
  for await (const text of textOf(response)) parser.feed(text);
}

async function* textOf(response: Response): AsyncGenerator<string> {
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    void reader.cancel().catch(() => undefined);
  }
}
