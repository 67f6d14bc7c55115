// Shows a problem where it happened: code, place, what is wrong, what to do next.
import { problemOf, type Problem } from "./api";
import { h } from "./dom";

export const placeOf = (problem: Problem): string =>
  problem.line === undefined ? "" : problem.column === undefined ? `line ${problem.line}` : `line ${problem.line}, column ${problem.column}`;

export const problemText = (problem: Problem): string => problem.detail ?? problem.message ?? problem.title ?? "refused";

export function problemBox(error: unknown, testid?: string): HTMLElement {
  const problem = problemOf(error);
  const place = placeOf(problem);
  return h("div", { class: "problem", testid, attrs: { role: "alert" } },
    h("p", {},
      problem.code ? h("span", { class: "code", text: problem.code }) : null,
      h("strong", { text: problem.title ?? "Refused" }),
      place ? h("span", { class: "muted", text: place }) : null,
    ),
    h("p", { text: problemText(problem) }),
    problem.hint ? h("p", { class: "muted", text: problem.hint }) : null,
  );
}
