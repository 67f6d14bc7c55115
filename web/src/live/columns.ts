// From the columns of a live table to what the grid holds: its schema, its formats, its values.
import { isNumericType, millisOf } from "../format";
import type { Column, Row, TableInfo } from "../api";

/** The grid's index: a table's key as one text, since the grid takes an index of one column only. */
export const KEY = "__key";
/** True once a window has closed. */
export const IS_FINAL = "is_final";

type Kind = "string" | "integer" | "float" | "boolean" | "datetime" | "date" | "other";

function kindOf({ type }: Column): Kind {
  if (/^(STRING|VARCHAR|CHAR|TEXT)/i.test(type)) return "string";
  if (/^(DOUBLE|FLOAT|REAL|DECIMAL|NUMERIC)/i.test(type)) return "float";
  if (isNumericType(type)) return "integer";
  if (/^BOOL/i.test(type)) return "boolean";
  if (/^TIMESTAMP/i.test(type)) return "datetime";
  if (/^DATE$/i.test(type)) return "date";
  return "other";
}

/** Integers are floats in the grid, exact to 2^53: fed by JSON, its integers wrap at 2^31. ROW, ARRAY and bytes become text. */
export function gridSchema(table: TableInfo): Record<string, "string" | "float" | "boolean" | "datetime" | "date"> {
  const entries = table.columns.map((column) => {
    const kind = kindOf(column);
    return [column.name, kind === "other" ? "string" : kind === "integer" ? "float" : kind] as const;
  });
  return Object.fromEntries([[KEY, "string"] as const, ...entries]);
}

const cellOf = (kind: Kind, value: unknown): unknown => {
  if (value === null || value === undefined) return null;
  if (kind === "datetime") return typeof value === "string" ? millisOf(value) : value;
  if (kind === "float" && typeof value === "string") return Number(value);
  if (kind === "other" && typeof value !== "string") return JSON.stringify(value);
  return value;
};

/** Turns API rows into grid rows; `keyOf` is a row's index. */
export function rowReader(table: TableInfo): { keyOf: (row: Row) => string; read: (row: Row) => Row } {
  const kinds = table.columns.map((column) => [column.name, kindOf(column)] as const);
  const keyOf = (row: Row): string => table.key.map((name) => String(row[name])).join("\u001f");
  return {
    keyOf,
    read: (row) => {
      const out: Row = { [KEY]: keyOf(row) };
      for (const [name, kind] of kinds) out[name] = cellOf(kind, row[name]);
      return out;
    },
  };
}

/** Columns in the order to show them: `is_final` last, where it disturbs least. */
export const shownColumns = (table: TableInfo): string[] =>
  [...table.columns.map(({ name }) => name)].sort((a, b) => Number(a === IS_FINAL) - Number(b === IS_FINAL));

/** Windowed tables begin with their newest windows: those are what moves. */
export const firstSort = (table: TableInfo): [string, "desc"][] => (table.columns.some(({ name }) => name === "window_start") ? [["window_start", "desc"]] : []);

const ID_LIKE = /(^|_)(id|no|nr|number|code|zip|port|year|offset|sequence)$/i;

/** Formats by column: counts are grouped, ids are not; changes flash briefly. */
export function columnFormats(table: TableInfo): Record<string, Record<string, unknown>> {
  const formats = table.columns.map((column) => {
    const kind = kindOf(column);
    const isId = table.key.includes(column.name) || ID_LIKE.test(column.name);
    if (kind === "integer") return [column.name, { fg_mode: "disabled", bg_mode: isId ? "disabled" : "pulse", number_format: { useGrouping: !isId, minimumFractionDigits: 0, maximumFractionDigits: 2 } }];
    if (kind === "float") return [column.name, { fg_mode: "disabled", bg_mode: "pulse", number_format: { minimumFractionDigits: 2, maximumFractionDigits: 6, useGrouping: !isId } }];
    if (kind === "datetime") return [column.name, { date_format: { timeZone: "UTC" } }];
    return [column.name, {}];
  });
  return Object.fromEntries(formats.filter(([, format]) => Object.keys(format as object).length > 0));
}

/** Columns whose cells are instants, for showing them as ISO 8601. */
export const datetimeColumns = (table: TableInfo): Set<string> => new Set(table.columns.filter((column) => kindOf(column) === "datetime").map(({ name }) => name));
