// The SQL box: write, see errors as you type, run, read the answer beneath.
import { ApiError, checkSql, listTables, problemOf, runSql, type Problem, type StatementResult } from "../api";
import { button, emptyState, h, type View } from "../dom";
import { problemBox } from "../problem";
import { createEditor } from "./editor";
import { resultView, ROWS_MAX } from "./results";

const DRAFT = "millstream.sql.draft";
const CHECK_DELAY_MS = 350;
const STREAM_REDRAW_MS = 250;
const FIRST_DRAFT = `-- A live table: one row per user and minute, kept up to date as events come in.
CREATE MATERIALIZED VIEW events_per_user AS
SELECT window_start, window_end, user_id, count(*) AS events
FROM TABLE(TUMBLE(TABLE events, DESCRIPTOR(server_time), INTERVAL '1' MINUTE))
GROUP BY window_start, window_end, user_id;
`;

export function sqlPage(): View {
  let checking = 0;
  let checked = 0;
  let running: AbortController | null = null;

  const findings = h("div", { class: "findings" });
  const output = h("div", { class: "output", testid: "sql-result" }, hint());
  const status = h("span", { class: "muted" });
  const runButton = button("Run", () => void run(), "button primary");
  runButton.dataset.testid = "sql-run";
  const editor = createEditor(localStorage.getItem(DRAFT) ?? FIRST_DRAFT, (text) => {
    localStorage.setItem(DRAFT, text);
    clearTimeout(checking);
    checking = window.setTimeout(() => void check(), CHECK_DELAY_MS);
  }, () => void run());

  const check = async (): Promise<void> => {
    const mine = (checked += 1);
    const text = editor.text();
    const { errors, warnings } = text.trim() === "" ? { errors: [], warnings: [] } : await checkSql(text).catch(() => ({ errors: [], warnings: [] }));
    if (mine !== checked || editor.text() !== text) return;
    editor.mark([...errors.map((problem) => ({ problem, severity: "error" as const })), ...warnings.map((problem) => ({ problem, severity: "warning" as const }))]);
    showProblem(errors[0] ?? null);
  };
  const showProblem = (problem: Problem | null): void => findings.replaceChildren(...(problem ? [problemBox(new ApiError(problem), "sql-error")] : []));

  const run = async (): Promise<void> => {
    if (running) return running.abort();
    const { sql, line, column } = editor.chosen();
    if (sql.trim() === "") return;
    running = new AbortController();
    runButton.textContent = "Stop";
    status.textContent = "Running…";
    clearTimeout(checking);
    checked += 1;
    const began = performance.now();
    let drawn = 0;
    try {
      const results = await runSql(sql, ROWS_MAX, running.signal, (rows) => {
        if (performance.now() - drawn < STREAM_REDRAW_MS) return;
        drawn = performance.now();
        output.replaceChildren(resultView({ statement: sql, kind: "rows", rows }));
      });
      showProblem(null);
      editor.mark([]);
      output.replaceChildren(...results.map((result: StatementResult) => resultView(result)));
      status.textContent = `Done in ${Math.round(performance.now() - began)} ms`;
      void refreshTables();
    } catch (error) {
      status.textContent = running.signal.aborted ? "Stopped" : "";
      if (!running.signal.aborted) {
        // Lines and columns count from the start of what ran: of the selection, where there is one.
        const found = problemOf(error);
        const placed = { ...found, line: found.line && found.line + line - 1, column: found.line === 1 && found.column ? found.column + column - 1 : found.column };
        showProblem(placed);
        editor.mark([{ problem: placed, severity: "error" }]);
        output.replaceChildren();
      }
    }
    running = null;
    runButton.textContent = "Run";
  };

  const refreshTables = async (): Promise<void> => editor.setTables(await listTables().catch(() => []));
  void refreshTables();
  void check();

  const shortcut = /Mac|iPhone|iPad/.test(navigator.userAgent) ? "⌘ Enter" : "Ctrl Enter";
  return {
    element: h("div", { class: "page sql" },
      h("div", { class: "editor", testid: "sql-editor" }, editor.element),
      h("div", { class: "bar" }, runButton, h("span", { class: "muted", text: shortcut }), h("span", { class: "spacer" }), status),
      findings, output),
    leave: () => {
      clearTimeout(checking);
      running?.abort();
      editor.leave();
    },
  };
}

const hint = (): HTMLElement => emptyState("Results appear here", h("p", { class: "muted", text: "SELECT over a table answers its rows; CREATE MATERIALIZED VIEW makes a live table." }));
