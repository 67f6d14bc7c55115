// Continuous queries: the list, or one of them.
import { listQueries, type Query } from "../api";
import { dataTable } from "../data_table";
import { emptyState, h, link, type View } from "../dom";
import { count, duration, rate, readableStamp } from "../format";
import { poll } from "../poll";
import { problemBox } from "../problem";
import { hrefOf } from "../route";
import { queryDetail } from "./detail";

const EVERY_MS = 2_000;

export const queriesPage = (name: string | null): View => (name === null ? queryList() : queryDetail(name));

export const stateBadge = (state: string): HTMLElement => h("span", { class: `state ${state}`, text: state });

/** The lag of the shard that is furthest behind. */
export const lagOf = (query: Query): number | null => query.shards.reduce<number | null>((most, { state, lag_ms }) => (state === "active" && lag_ms !== null ? Math.max(most ?? 0, lag_ms) : most), null);

function queryList(): View {
  const table = dataTable<Query>(
    [
      { title: "Query", cell: (q) => link(hrefOf("queries", q.name), q.name, "strong") },
      { title: "State", cell: (q) => stateBadge(q.state) },
      { title: "Rows/s", align: "right", cell: (q) => rate(q.rows_per_second) },
      { title: "Rows in", align: "right", cell: (q) => count(q.rows_in) },
      { title: "Rows out", align: "right", cell: (q) => count(q.rows_out) },
      { title: "Late", align: "right", cell: (q) => noted(q.late) },
      { title: "Rejected", align: "right", cell: (q) => noted(q.rejected) },
      { title: "Lag", align: "right", cell: (q) => lagText(lagOf(q)) },
      { title: "Watermark", class: "number", cell: (q) => (q.watermark ? readableStamp(q.watermark) : "–") },
    ],
    (q) => q.name,
    { rowHref: (q) => hrefOf("queries", q.name) },
  );
  const body = h("div", { testid: "queries-list" }, h("p", { class: "muted", text: "Loading…" }));
  const show = (queries: Query[]): void => {
    if (queries.length === 0) {
      body.replaceChildren(emptyState("No queries run", h("p", { class: "muted" }, "CREATE MATERIALIZED VIEW and INSERT INTO start one. ", link(hrefOf("sql"), "Open the SQL editor"), ".")));
      return;
    }
    table.show([...queries].sort((a, b) => a.name.localeCompare(b.name)));
    if (body.firstChild !== table.element) body.replaceChildren(table.element);
  };
  const refresh = poll(EVERY_MS, listQueries, show, (error) => body.replaceChildren(problemBox(error)));
  return { element: h("div", { class: "page" }, h("h1", { text: "Queries" }), body), leave: refresh.stop };
}

export const lagText = (lag: number | null): string => (lag === null ? "–" : duration(lag));

/** Zero is quiet, anything else stands out. */
const noted = (n: number): string | Node => (n === 0 ? h("span", { class: "muted", text: "0" }) : h("span", { class: "warn", text: count(n) }));
