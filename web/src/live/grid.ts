// The live grid of one table: a Perspective viewer, fed by the table's changes.
import type { HTMLPerspectiveViewerElement, ViewerConfigUpdate } from "@perspective-dev/viewer";
import type { Row, TableInfo } from "../api";
import { setText } from "../dom";
import { stampText } from "../format";
import { currentTheme, onTheme, type Theme } from "../theme";
import { columnFormats, datetimeColumns, firstSort, gridSchema, IS_FINAL, KEY, rowReader, shownColumns } from "./columns";
import { startEngine } from "./engine";
import type { Sink } from "./feed";
import gridCss from "./grid.css?inline";

/** Rows kept of a table without a key, which only ever grows. */
const APPENDED_ROWS_MAX = 100_000;
/** Milliseconds between redraws at most; the eye needs no more. */
const REDRAW_MS = 120;
const SAVE_DELAY_MS = 250;
/** Grouped, a column of instants holds counts; a number above this is an instant (after 1973), below it a count. */
const COUNT_MAX = 100_000_000_000;

/** What the reader changed: it goes into the URL. */
const KEPT = ["group_by", "split_by", "sort", "filter", "columns", "aggregates", "expressions"] as const;
export type Layout = Partial<Pick<ViewerConfigUpdate, (typeof KEPT)[number]>>;

export type Grid = { sink: Sink; size: () => Promise<number>; toggleSettings: () => void; leave: () => void };

let tablesMade = 0;

export async function createGrid(host: HTMLElement, info: TableInfo, layout: Layout, onLayout: (layout: Layout | null) => void): Promise<Grid> {
  const client = await startEngine();
  tablesMade += 1;
  const name = `${info.name} ${tablesMade}`;
  const keyed = info.key.length > 0;
  const options = keyed ? { name, index: KEY } : { name, limit: APPENDED_ROWS_MAX };
  const table = await client.table(gridSchema(info), options);
  const reader = rowReader(info);

  const viewer = document.createElement("perspective-viewer") as HTMLPerspectiveViewerElement;
  host.replaceChildren(viewer);
  await viewer.load(client);
  const defaults: ViewerConfigUpdate = { table: name, plugin: "Datagrid", columns: shownColumns(info), sort: firstSort(info), columns_config: columnFormats(info), settings: false };
  const theme = themeName(currentTheme());
  // A layout from an old link may name columns that are gone; the table as it is is better than none.
  await viewer.restore({ ...defaults, ...layout, theme }).catch(() => viewer.restore({ ...defaults, group_by: [], split_by: [], sort: [], filter: [], theme }));
  viewer.setThrottle(REDRAW_MS);
  dress(viewer, info);

  const stopTheme = onTheme((theme) => void viewer.restore({ theme: themeName(theme) }));
  // Whoever switches while the grid is being made means the grid too.
  if (themeName(currentTheme()) !== theme) await viewer.restore({ theme: themeName(currentTheme()) });
  let saving = 0;
  const changed = (): void => {
    clearTimeout(saving);
    saving = window.setTimeout(async () => onLayout(changedParts((await viewer.save()) as Layout, defaults)), SAVE_DELAY_MS);
  };
  viewer.addEventListener("perspective-config-update", changed);

  return {
    sink: {
      keyOf: reader.keyOf,
      replace: async (rows) => {
        await table.replace(rows.map(reader.read));
      },
      apply: async (upserts: Row[], deletedKeys) => {
        if (deletedKeys.length > 0) await table.remove(deletedKeys);
        if (upserts.length > 0) await table.update(upserts.map(reader.read));
      },
    },
    size: () => table.size(),
    toggleSettings: () => void viewer.toggleConfig(),
    leave: () => {
      clearTimeout(saving);
      stopTheme();
      viewer.removeEventListener("perspective-config-update", changed);
      // A drawing that is under way is finished first: the viewer must not lose its panel beneath it.
      void viewer.flush().then(() => viewer.delete()).then(() => table.delete()).catch(() => undefined);
    },
  };
}

const themeName = (theme: Theme): string => (theme === "dark" ? "Pro Dark" : "Pro Light");

function changedParts(config: Layout, defaults: Layout): Layout | null {
  const changed = KEPT.filter((part) => {
    const value = JSON.stringify(config[part] ?? null);
    return defaults[part] === undefined ? !["null", "[]", "{}"].includes(value) : value !== JSON.stringify(defaults[part]);
  });
  return changed.length === 0 ? null : Object.fromEntries(changed.map((part) => [part, config[part]]));
}

type CellMeta = { type?: string; column_header?: unknown[]; user?: unknown; value?: unknown };
type RegularTable = HTMLElement & { addStyleListener: (listener: () => void) => void; getMeta: (cell: Element) => CellMeta | undefined };

/** Our style inside the viewer's shadow, instants as ISO 8601, and a quiet sign for closed windows. */
function dress(viewer: HTMLPerspectiveViewerElement, info: TableInfo): void {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(gridCss);
  const shadow = viewer.shadowRoot;
  if (shadow) {
    shadow.adoptedStyleSheets = [...shadow.adoptedStyleSheets, sheet];
    new MutationObserver(() => hideIndex(shadow)).observe(shadow, { childList: true, subtree: true });
  }
  const names = new Set(shownColumns(info));
  const instants = datetimeColumns(info);
  const plugin = viewer.getPlugin("Datagrid") as HTMLElement & { regular_table?: RegularTable };
  const grid = plugin.regular_table;
  if (plugin.shadowRoot) plugin.shadowRoot.adoptedStyleSheets = [...plugin.shadowRoot.adoptedStyleSheets, sheet];
  if (!grid) return;
  const dressCells = (): void => {
    for (const cell of grid.querySelectorAll("tbody td")) {
      const meta = grid.getMeta(cell);
      const column = String(meta?.column_header?.findLast((part) => names.has(String(part))) ?? "");
      if (instants.has(column) && typeof meta?.user === "number" && meta.user > COUNT_MAX) setText(cell, stampText(meta.user));
      if (column === IS_FINAL) cell.classList.toggle("filling", meta?.user === false);
    }
  };
  grid.addStyleListener(dressCells);
}

/** The index is ours, not the analyst's: it is left out of the list of columns to choose from. */
function hideIndex(shadow: ShadowRoot): void {
  for (const item of shadow.querySelectorAll(".column-selector-column")) item.toggleAttribute("data-own-index", item.querySelector(".column_name")?.textContent === KEY);
}
