// Follows a table's changes: connects, resumes after a break by Last-Event-ID, and hands changes on in batches.
// It holds at most one batch: changes to one row overwrite each other, and a hidden tab disconnects until it is seen again.
import { ApiError, followChanges, type Change, type Row } from "../api";

export type FeedState = "connecting" | "live" | "reconnecting" | "paused" | "gone";

export type Sink = {
  keyOf: (row: Row) => string;
  /** Replaces everything. */
  replace: (rows: Row[]) => Promise<void>;
  apply: (upserts: Row[], deletedKeys: string[]) => Promise<void>;
};

const RETRY_MS_FIRST = 500;
const RETRY_MS_MAX = 10_000;

export function startFeed(table: string, keyed: boolean, sink: Sink, onState: (state: FeedState, error?: unknown) => void, onWatermark: (watermark: string) => void): () => void {
  let stopped = false;
  let lastId: string | null = null;
  let connection = new AbortController();

  let snapshot: Row[] | null = null;
  let upserts = new Map<string, Row>();
  let deletes = new Set<string>();
  let appended = 0;
  let flushing = false;

  const take = (change: Change): void => {
    if (change.watermark) onWatermark(change.watermark);
    if (change.event === "snapshot") {
      snapshot = change.rows;
      upserts = new Map();
      deletes = new Set();
    } else if (change.event === "upsert") {
      for (const row of change.rows) {
        // Rows of a table without a key have no identity: each is its own.
        const key = keyed ? sink.keyOf(row) : String((appended += 1));
        deletes.delete(key);
        upserts.set(key, row);
      }
    } else if (change.event === "delete" && keyed) {
      for (const row of change.rows) {
        const key = sink.keyOf(row);
        upserts.delete(key);
        deletes.add(key);
      }
    } else return;
    schedule();
  };

  const schedule = (): void => {
    if (flushing) return;
    flushing = true;
    requestAnimationFrame(() => void flush());
  };
  const flush = async (): Promise<void> => {
    const batch = { snapshot, upserts, deletes };
    snapshot = null;
    upserts = new Map();
    deletes = new Set();
    try {
      if (!stopped && batch.snapshot) await sink.replace(batch.snapshot);
      if (!stopped && (batch.upserts.size > 0 || batch.deletes.size > 0)) await sink.apply([...batch.upserts.values()], [...batch.deletes]);
    } catch (error) {
      if (!stopped) onState("gone", error);
    }
    flushing = false;
    if (!stopped && (snapshot || upserts.size > 0 || deletes.size > 0)) schedule();
  };

  const run = async (): Promise<void> => {
    let retryMs = RETRY_MS_FIRST;
    onState("connecting");
    while (!stopped) {
      if (document.hidden) {
        onState("paused");
        await seenAgain();
        continue;
      }
      connection = new AbortController();
      try {
        await followChanges(table, lastId, connection.signal, () => {
          retryMs = RETRY_MS_FIRST;
          onState("live");
        }, (change, id) => {
          take(change);
          if (id !== undefined) lastId = id;
        });
      } catch (error) {
        if (error instanceof ApiError && error.status === 404) return onState("gone", error);
      }
      if (stopped || document.hidden) continue;
      onState("reconnecting");
      await pause(retryMs);
      retryMs = Math.min(retryMs * 2, RETRY_MS_MAX);
    }
  };

  const hidden = (): void => {
    if (document.hidden) connection.abort();
  };
  document.addEventListener("visibilitychange", hidden);
  void run();
  return () => {
    stopped = true;
    connection.abort();
    document.removeEventListener("visibilitychange", hidden);
  };
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const seenAgain = (): Promise<void> => new Promise((resolve) => document.addEventListener("visibilitychange", () => resolve(), { once: true }));
