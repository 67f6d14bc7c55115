// A plain table of rows that is refreshed in place: cells change their text, nothing else moves.
// For lists of tens to a thousand rows; the live grid of src/live is for more.
import { h, setText } from "./dom";

export type Field<T> = {
  title: string;
  /** The cell's text, or an element that stands for it. */
  cell: (row: T) => string | Node;
  align?: "right";
  class?: string;
};

export type DataTable<T> = { element: HTMLElement; show: (rows: T[]) => void };

export function dataTable<T>(fields: Field<T>[], keyOf: (row: T, index: number) => string, options: { testid?: string; rowClass?: (row: T) => string; rowHref?: (row: T) => string } = {}): DataTable<T> {
  const body = h("tbody");
  const heads = fields.map((field) => h("th", { class: cellClass(field), text: field.title }));
  const table = h("table", { class: "data", testid: options.testid }, h("thead", {}, h("tr", {}, ...heads)), body);
  const lines = new Map<string, { line: HTMLTableRowElement; cells: HTMLTableCellElement[] }>();

  const show = (rows: T[]): void => {
    const wanted = rows.map((row, index) => [keyOf(row, index), row] as const);
    const keep = new Set(wanted.map(([key]) => key));
    for (const [key, { line }] of lines)
      if (!keep.has(key)) {
        line.remove();
        lines.delete(key);
      }
    wanted.forEach(([key, row], index) => {
      let known = lines.get(key);
      if (!known) {
        const cells = fields.map((field) => h("td", { class: cellClass(field) }));
        known = { line: h("tr", {}, ...cells), cells };
        lines.set(key, known);
      }
      fields.forEach((field, column) => setCell(known.cells[column]!, field.cell(row)));
      known.line.className = options.rowClass?.(row) ?? "";
      if (options.rowHref) followClicks(known.line, options.rowHref(row));
      if (body.children[index] !== known.line) body.insertBefore(known.line, body.children[index] ?? null);
    });
  };
  return { element: h("div", { class: "table-scroll" }, table), show };
}

const cellClass = (field: { align?: "right"; class?: string }): string => [field.align ?? "", field.class ?? ""].join(" ").trim();

function setCell(cell: HTMLTableCellElement, content: string | Node): void {
  if (typeof content === "string") return setText(cell, content);
  if (!(cell.firstChild && cell.firstChild.isEqualNode(content))) cell.replaceChildren(content);
}

/** The whole line is a link; a click that selects text or hits a real control is left alone. */
function followClicks(line: HTMLTableRowElement, href: string): void {
  line.classList.add("clickable");
  line.onclick = (event) => {
    if ((event.target as Element).closest("a, button") || getSelection()?.toString()) return;
    location.hash = href;
  };
}
