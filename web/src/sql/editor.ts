// The SQL editor: highlighting, completion from the tables there are, and the service's findings underlined as one types.
import { autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import { schemaCompletionSource, keywordCompletionSource, sql } from "@codemirror/lang-sql";
import { HighlightStyle, bracketMatching, syntaxHighlighting } from "@codemirror/language";
import { lintGutter, setDiagnostics, type Diagnostic } from "@codemirror/lint";
import { Compartment, EditorState, Prec } from "@codemirror/state";
import { EditorView, drawSelection, highlightActiveLine, keymap, lineNumbers, placeholder } from "@codemirror/view";
import { tags } from "@lezer/highlight";
import type { Problem, TableInfo } from "../api";
import { problemText } from "../problem";
import { MillstreamSQL } from "./dialect";

export type Editor = {
  element: HTMLElement;
  text: () => string;
  /** What Run means: the selection where there is one, else everything; `line` is where it starts. */
  chosen: () => { sql: string; line: number; column: number };
  setTables: (tables: TableInfo[]) => void;
  mark: (problems: { problem: Problem; severity: "error" | "warning" }[]) => void;
  focus: () => void;
  leave: () => void;
};

const colours = HighlightStyle.define([
  { tag: tags.keyword, color: "var(--syntax-keyword)" },
  { tag: [tags.string, tags.special(tags.string)], color: "var(--syntax-string)" },
  { tag: tags.number, color: "var(--syntax-number)" },
  { tag: [tags.typeName, tags.standard(tags.name)], color: "var(--syntax-type)" },
  { tag: tags.comment, color: "var(--muted)", fontStyle: "italic" },
]);

export function createEditor(text: string, changed: (text: string) => void, run: () => void): Editor {
  const completions = new Compartment();
  const view = new EditorView({
    state: EditorState.create({
      doc: text,
      extensions: [
        Prec.highest(keymap.of([{ key: "Mod-Enter", run: () => (run(), true) }])),
        lineNumbers(), lintGutter(), history(), drawSelection(), highlightActiveLine(), bracketMatching(), closeBrackets(),
        autocompletion({ icons: false }),
        keymap.of([...closeBracketsKeymap, ...completionKeymap, ...defaultKeymap, ...historyKeymap, indentWithTab]),
        sql({ dialect: MillstreamSQL, upperCaseKeywords: true }),
        completions.of([]),
        syntaxHighlighting(colours),
        EditorView.lineWrapping,
        EditorView.contentAttributes.of({ "aria-label": "SQL" }),
        placeholder("SELECT * FROM …"),
        EditorView.updateListener.of((update) => {
          if (update.docChanged) changed(update.state.doc.toString());
        }),
      ],
    }),
  });

  return {
    element: view.dom,
    text: () => view.state.doc.toString(),
    chosen: () => {
      const { from, to, empty } = view.state.selection.main;
      if (empty) return { sql: view.state.doc.toString(), line: 1, column: 1 };
      const line = view.state.doc.lineAt(from);
      return { sql: view.state.sliceDoc(from, to), line: line.number, column: from - line.from + 1 };
    },
    setTables: (tables) => {
      const schema = Object.fromEntries(tables.map((table) => [table.name, table.columns.map(({ name, type }) => ({ label: name, detail: type.toLowerCase() }))]));
      // Columns of every table are offered everywhere: FROM is often written after SELECT.
      const columns = [...new Set(tables.flatMap((table) => table.columns.map(({ name }) => name)))].map((label) => ({ label, type: "property", boost: -1 }));
      const source = schemaCompletionSource({ dialect: MillstreamSQL, schema });
      const plain = MillstreamSQL.language.data.of({
        autocomplete: (context: Parameters<typeof source>[0]) => {
          const word = context.matchBefore(/\w+$/);
          return word && !/\.\w*$/.test(context.state.sliceDoc(Math.max(0, word.from - 1), word.to)) ? { from: word.from, options: columns } : null;
        },
      });
      view.dispatch({ effects: completions.reconfigure([MillstreamSQL.language.data.of({ autocomplete: source }), MillstreamSQL.language.data.of({ autocomplete: keywordCompletionSource(MillstreamSQL, true) }), plain]) });
    },
    mark: (problems) => view.dispatch(setDiagnostics(view.state, problems.map(({ problem, severity }) => diagnostic(view.state, problem, severity)))),
    focus: () => view.focus(),
    leave: () => view.destroy(),
  };
}

/** Underlines the word at a problem's line and column; a problem without a place stands at the start. */
function diagnostic(state: EditorState, problem: Problem, severity: "error" | "warning"): Diagnostic {
  const line = state.doc.line(Math.min(Math.max(problem.line ?? 1, 1), state.doc.lines));
  const from = Math.min(line.from + Math.max((problem.column ?? 1) - 1, 0), line.to);
  const word = /^\w+/.exec(state.sliceDoc(from, line.to))?.[0].length ?? 1;
  const to = problem.column === undefined ? line.to : Math.min(from + word, line.to);
  return { from, to: Math.max(to, from), severity, message: [problemText(problem), problem.hint].filter(Boolean).join("\n"), source: problem.code };
}
