// The tables page: the list of live tables, and beside it the one that is open.
import { getTable, listQueries, listTables, type Query, type TableInfo } from "../api";
import { emptyState, h, link, setText, type View } from "../dom";
import { count, duration, millisOf, readableStamp } from "../format";
import { poll } from "../poll";
import { problemBox } from "../problem";
import { currentRoute, hrefOf, noteParam } from "../route";
import { startFeed, type FeedState } from "./feed";
import type { Grid, Layout } from "./grid";

const LIST_EVERY_MS = 2_000;
const STATUS_EVERY_MS = 500;

export function tablesPage(name: string | null): View {
  const list = tableList(name);
  const open = name === null ? welcome() : openTable(name);
  const element = h("div", { class: `split ${name === null ? "list-only" : "with-detail"}` }, list.element, open.element);
  return {
    element,
    leave: () => {
      list.leave();
      open.leave();
    },
  };
}

function welcome(): View {
  return {
    element: h("section", { class: "detail" },
      emptyState("Choose a table to watch it live", h("p", { class: "muted" }, "A continuous query keeps each table up to date. ", link(hrefOf("sql"), "Write one in SQL"), "."))),
    leave: () => undefined,
  };
}

function tableList(selected: string | null): View {
  const body = h("div", { class: "list", testid: "tables-list" });
  const items = new Map<string, { item: HTMLElement; rows: HTMLElement; from: HTMLElement; dot: HTMLElement }>();
  const show = ([tables, queries]: [TableInfo[], Query[]]): void => {
    const stateOf = new Map(queries.map(({ name, state }) => [name, state]));
    if (tables.length === 0) {
      items.clear();
      body.replaceChildren(emptyState("No tables yet", h("p", { class: "muted" }, "CREATE MATERIALIZED VIEW makes one. ", link(hrefOf("sql"), "Open the SQL editor"), ".")));
      return;
    }
    const names = new Set(tables.map((table) => table.name));
    for (const [name, { item }] of items) if (!names.has(name)) (item.remove(), items.delete(name));
    body.querySelector(".empty, .problem")?.remove();
    for (const table of [...tables].sort((a, b) => a.name.localeCompare(b.name))) {
      let known = items.get(table.name);
      if (!known) {
        const dot = h("span", { class: "dot quiet" });
        const rows = h("span", { class: "number" });
        const from = h("span", { class: "muted clip" });
        const item = h("a", { class: "item", testid: `table-link-${table.name}`, attrs: { href: hrefOf("tables", table.name), ...(table.name === selected ? { "aria-current": "page" } : {}) } },
          dot, h("span", { class: "clip strong", text: table.name, title: table.name }), rows, from);
        known = { item, rows, from, dot };
        items.set(table.name, known);
      }
      const state = !table.query ? undefined : stateOf.get(table.query);
      known.dot.className = `dot ${state ?? "quiet"}`;
      known.dot.title = state ?? "no query";
      setText(known.rows, count(table.rows));
      setText(known.from, origin(table, state));
      body.append(known.item);
    }
  };
  const refresh = poll(LIST_EVERY_MS, () => Promise.all([listTables(), listQueries()]), show, (error) => {
    items.clear();
    body.replaceChildren(problemBox(error));
  });
  return { element: h("nav", { class: "sidebar", attrs: { "aria-label": "Tables" } }, h("h2", { text: "Live tables" }), body), leave: refresh.stop };
}

/** `materialized view`, `from orders_enriched, paused` */
function origin(table: TableInfo, state: string | undefined): string {
  if (!table.query) return "no query";
  const from = table.query === table.name ? "materialized view" : `from ${table.query}`;
  return state === undefined || state === "running" ? from : `${from}, ${state}`;
}

const STATE_TEXT: Record<FeedState, string> = { connecting: "Connecting", live: "Live", reconnecting: "Reconnecting", paused: "Paused while hidden", gone: "Gone" };

function openTable(name: string): View {
  const state = h("span", { class: "state connecting", testid: "connection-state", text: STATE_TEXT.connecting });
  const rows = h("span", { class: "number", text: "–" });
  const watermark = h("span", { class: "number", text: "–" });
  const age = h("span", { class: "muted number" });
  const query = h("span");
  const host = h("div", { class: "grid", testid: "grid" }, h("p", { class: "loading muted", text: "Opening…" }));
  const settings = h("button", { class: "button", text: "Sort, filter, pivot", attrs: { type: "button", disabled: "" } });
  const element = h("section", { class: "detail" },
    h("header", { class: "bar" },
      h("h1", { class: "clip", text: name, title: name }), state,
      h("span", { class: "spacer" }),
      query, settings),
    h("dl", { class: "facts" }, fact("Rows", rows), fact("Watermark", watermark, age)),
    host,
  );

  let left = false;
  let grid: Grid | null = null;
  let stopFeed = (): void => undefined;
  let newestWatermark: string | null = null;

  const showState = (next: FeedState, error?: unknown): void => {
    state.className = `state ${next}`;
    setText(state, STATE_TEXT[next]);
    if (next === "gone") host.replaceChildren(problemBox(error));
  };
  const clock = setInterval(async () => {
    if (newestWatermark !== null) {
      setText(watermark, readableStamp(newestWatermark));
      setText(age, `${duration(Date.now() - millisOf(newestWatermark))} old`);
    }
    if (grid && !document.hidden) setText(rows, count(await grid.size()));
  }, STATUS_EVERY_MS);

  const open = async (): Promise<void> => {
    try {
      // The engine is large: its part of the program is loaded with the first grid.
      const [info, { createGrid }] = await Promise.all([getTable(name), import("./grid")]);
      if (left) return;
      if (info.query) query.replaceChildren(link(hrefOf("queries", info.query), "Query", "button"));
      const made = await createGrid(host, info, layoutInUrl(), (changed) => {
        if (!left) noteParam("view", changed === null ? null : JSON.stringify(changed));
      });
      if (left) return made.leave();
      grid = made;
      settings.disabled = false;
      settings.addEventListener("click", made.toggleSettings);
      stopFeed = startFeed(name, info.key.length > 0, made.sink, showState, (at) => (newestWatermark = at));
    } catch (error) {
      if (!left) showState("gone", error);
    }
  };
  void open();

  return {
    element,
    leave: () => {
      left = true;
      clearInterval(clock);
      stopFeed();
      grid?.leave();
    },
  };
}

function layoutInUrl(): Layout {
  try {
    return JSON.parse(currentRoute().params.get("view") ?? "{}") as Layout;
  } catch {
    return {};
  }
}

const fact = (label: string, ...values: HTMLElement[]): HTMLElement => h("div", {}, h("dt", { text: label }), h("dd", {}, ...values));
