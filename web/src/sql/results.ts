// What a script did: rows as a plain table, what was created as a sentence with a link.
import type { StatementResult } from "../api";
import { dataTable } from "../data_table";
import { h, link } from "../dom";
import { cellText, count, isNumericType, readableStamp } from "../format";
import { hrefOf } from "../route";

/** Rows shown of one result; the rest is for scripts, by the API. */
export const ROWS_MAX = 1_000;

export function resultView(result: StatementResult): HTMLElement {
  if (result.kind === "rows") return rowsView(result);
  if (result.explain) return h("pre", { class: "code-block", text: result.explain });
  return h("p", { class: "done" }, h("span", { class: "dot live" }), ...sentence(result));
}

function sentence({ kind, name = "", statement }: StatementResult): (Node | string)[] {
  const subject = h("strong", { text: name });
  if (kind === "query" && /^\s*INSERT/i.test(statement)) return ["Query ", subject, " runs. ", link(hrefOf("queries", name), "Watch it")];
  if (kind === "query") return ["Live table ", subject, " created. ", link(hrefOf("tables", name), "Open it")];
  if (kind === "dropped") return ["Dropped ", subject, "."];
  if (kind === "set") return ["Set."];
  return [`${kind[0]?.toUpperCase()}${kind.slice(1)} `, subject, " created."];
}

const textOf = (value: unknown, type: string): string => (/^TIMESTAMP/i.test(type) && typeof value === "string" ? readableStamp(value) : cellText(value));

function rowsView(result: StatementResult): HTMLElement {
  const all = result.rows ?? [];
  const rows = all.slice(0, ROWS_MAX);
  const first = rows[0] ?? {};
  const columns = result.columns ?? Object.keys(first).map((name) => ({ name, type: typeof first[name] === "number" ? "DOUBLE" : "STRING" }));
  const caption = h("p", { class: "muted", text: all.length > rows.length ? `First ${count(rows.length)} of ${count(all.length)} rows` : all.length === 1 ? "1 row" : `${count(all.length)} rows` });
  if (rows.length === 0) return h("div", {}, h("p", { class: "muted", text: "No rows" }));
  const table = dataTable(
    columns.map(({ name, type }) => ({
      title: name,
      align: isNumericType(type) ? ("right" as const) : undefined,
      cell: (row: Record<string, unknown>) => (row[name] === null ? h("span", { class: "muted", text: "null" }) : textOf(row[name], type)),
    })),
    (_, index) => String(index),
  );
  table.show(rows);
  return h("div", { class: "result" }, caption, table.element);
}
