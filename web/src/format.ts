// How values read on the page. Counts have thousands separators; ids and other data never do.

const COUNT = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const SMALL_RATE = new Intl.NumberFormat("en-US", { maximumFractionDigits: 1 });

export const count = (n: number): string => COUNT.format(n);
export const rate = (perSecond: number): string => (perSecond < 100 ? SMALL_RATE : COUNT).format(perSecond);

/** Milliseconds of an API timestamp; one without a zone is UTC. */
export function millisOf(stamp: string): number {
  return Date.parse(/(Z|[+-]\d\d:?\d\d)$/.test(stamp) ? stamp : `${stamp}Z`);
}

/** `2026-01-01 00:00:00.000` */
export const stampText = (millis: number): string => new Date(millis).toISOString().slice(0, 23).replace("T", " ");
/** A stamp as the API writes it, easier to read; milliseconds only where there are any. */
export const readableStamp = (stamp: string): string => stamp.replace("T", " ").replace(/\.000(?=Z?$)/, "");

/** `350 ms`, `4.2 s`, `3 min`, `2 h`, `5 d` */
export function duration(millis: number): string {
  const ms = Math.max(0, millis);
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 10_000) return `${(ms / 1_000).toFixed(1)} s`;
  if (ms < 120_000) return `${Math.round(ms / 1_000)} s`;
  if (ms < 7_200_000) return `${Math.round(ms / 60_000)} min`;
  if (ms < 172_800_000) return `${Math.round(ms / 3_600_000)} h`;
  return `${Math.round(ms / 86_400_000)} d`;
}

/** A cell of a plain table. */
export function cellText(value: unknown): string {
  if (value === null || value === undefined) return "";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

const NUMERIC = /^(TINYINT|SMALLINT|INT|INTEGER|BIGINT|FLOAT|REAL|DOUBLE|DECIMAL|NUMERIC)/i;
export const isNumericType = (sqlType: string): boolean => NUMERIC.test(sqlType);
