// One continuous query: how it runs, where each shard stands, its pipeline and its SQL.
import { dropQuery, getQuery, pauseQuery, resumeQuery, type Query, type Shard } from "../api";
import { dataTable } from "../data_table";
import { button, h, link, setText, type View } from "../dom";
import { count, duration, millisOf, rate, readableStamp } from "../format";
import { poll } from "../poll";
import { problemBox } from "../problem";
import { hrefOf } from "../route";
import { graphView } from "./graph";
import { lagText, stateBadge } from "./page";

const EVERY_MS = 1_000;

/** Shards within this of each other are alike: that much is the rhythm of reading, not a laggard. */
const ALIKE_MS = 1_000;

/** The active shard with the lowest watermark: the query's watermark waits for it. Null where all are alike. */
export function holdingBack(shards: Shard[]): Shard | null {
  const active = shards.filter((shard) => shard.state === "active" && shard.watermark !== null);
  if (active.length < 2) return null;
  const byTime = [...active].sort((a, b) => millisOf(a.watermark!) - millisOf(b.watermark!));
  const [first, second] = byTime;
  return millisOf(second!.watermark!) - millisOf(first!.watermark!) < ALIKE_MS ? null : first!;
}

export function queryDetail(name: string): View {
  const badge = h("span");
  const trouble = h("div");
  const facts = new Map(["Rows/s", "Rows in", "Rows out", "Filtered", "Late", "Rejected", "Open windows", "Groups", "Watermark", "Started"].map((label) => [label, h("dd", { class: "number", text: "–" })]));
  const actions = h("span", { class: "actions" });
  const picture = h("div", { class: "graph-scroll" });
  const sql = h("pre", { class: "code-block" });
  let held: Shard | null = null;
  const shards = dataTable<Shard>(
    [
      { title: "Source", cell: (s) => s.source },
      { title: "Shard", class: "number", cell: (s) => s.shard },
      { title: "State", cell: (s) => stateBadge(s.state) },
      { title: "Offset", align: "right", cell: (s) => s.offset ?? "–" },
      { title: "Watermark", class: "number", cell: (s) => (s.watermark ? readableStamp(s.watermark) : "–") },
      { title: "Lag", align: "right", cell: (s) => (s.state === "active" ? lagText(s.lag_ms) : "–") },
      { title: "", cell: (s) => (s === held ? h("span", { class: "warn", text: "holds the watermark back" }) : "") },
    ],
    (s) => `${s.source}/${s.shard}`,
    { rowClass: (s) => (s === held ? "held" : "") },
  );

  let drawn = "";
  let actionsFor = "";
  const show = (query: Query): void => {
    badge.replaceChildren(stateBadge(query.state));
    trouble.replaceChildren(...(query.error ? [h("div", { class: "problem", attrs: { role: "alert" } }, h("p", {}, h("strong", { text: "It stopped" })), h("p", { text: query.error }))] : []));
    const values: Record<string, string> = {
      "Rows/s": rate(query.rows_per_second), "Rows in": count(query.rows_in), "Rows out": count(query.rows_out), Filtered: count(query.filtered), Late: count(query.late), Rejected: count(query.rejected),
      "Open windows": count(query.open_windows), Groups: count(query.groups),
      Watermark: query.watermark ? `${readableStamp(query.watermark)} (${duration(Date.now() - millisOf(query.watermark))} old)` : "–",
      Started: readableStamp(query.started),
    };
    for (const [label, element] of facts) setText(element, values[label] ?? "–");
    held = holdingBack(query.shards);
    shards.show(query.shards);
    setText(sql, query.sql);
    // The picture is drawn anew only where the pipeline changed, so that it stays where it was scrolled to.
    const shape = JSON.stringify(query.graph);
    if (shape !== drawn) {
      drawn = shape;
      picture.replaceChildren(query.graph && query.graph.nodes.length > 0 ? graphView(query.graph) : h("p", { class: "muted", text: "No pipeline to show" }));
    }
    if (actionsFor !== query.state) {
      actionsFor = query.state;
      actions.replaceChildren(...actionButtons(query));
    }
  };

  const act = async (action: () => Promise<unknown>): Promise<void> => {
    try {
      await action();
      refresh.now();
    } catch (error) {
      trouble.replaceChildren(problemBox(error));
    }
  };
  const actionButtons = (query: Query): Node[] => [
    ...(query.target.kind === "table" ? [link(hrefOf("tables", query.target.name), "Open table", "button")] : []),
    ...(query.state === "running" ? [button("Pause", () => void act(() => pauseQuery(name)))] : []),
    ...(query.state === "paused" || query.state === "failed" ? [button("Resume", () => void act(() => resumeQuery(name)))] : []),
    button("Drop…", () => confirmDrop(name, query.target.kind === "table", () => void act(async () => {
      await dropQuery(name);
      location.hash = hrefOf("queries");
    })), "button danger"),
  ];
  const element = h("div", { class: "page" },
    h("header", { class: "bar" }, link(hrefOf("queries"), "Queries", "muted"), h("span", { class: "muted", text: "/" }), h("h1", { class: "clip", text: name }), badge, h("span", { class: "spacer" }), actions),
    trouble,
    h("dl", { class: "facts" }, ...[...facts].map(([label, value]) => h("div", {}, h("dt", { text: label }), value))),
    h("h2", { text: "Shards" }), shards.element,
    h("h2", { text: "Pipeline" }), picture,
    h("h2", { text: "SQL" }), sql,
  );
  const refresh = poll(EVERY_MS, () => getQuery(name), show, (error) => trouble.replaceChildren(problemBox(error)));
  return { element, leave: refresh.stop };
}

function confirmDrop(name: string, withTable: boolean, drop: () => void): void {
  const box = h("dialog", {},
    h("form", { class: "stack", attrs: { method: "dialog" } },
      h("h2", { text: `Drop ${name}?` }),
      h("p", { text: withTable ? "The query stops, and its table and rows are gone for good." : "The query stops for good. What it wrote stays." }),
      h("div", { class: "bar end" },
        h("button", { class: "button", text: "Keep it", attrs: { value: "keep" } }),
        h("button", { class: "button danger solid", text: "Drop", attrs: { value: "drop" } }))));
  box.addEventListener("close", () => {
    box.remove();
    if (box.returnValue === "drop") drop();
  });
  document.body.append(box);
  box.showModal();
}
