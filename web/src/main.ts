// The page: a bar on top, and beneath it the part that the URL names.
import { button, h, link, type View } from "./dom";
import { tablesPage } from "./live/page";
import { currentRoute, hrefOf } from "./route";
import { currentTheme, onTheme, startTheme, toggleTheme } from "./theme";
import { queriesPage } from "./queries/page";
import { sqlPage } from "./sql/page";
import { errorsPage } from "./streams/errors";
import { streamsPage } from "./streams/page";
import "./style.css";

const PAGES: Record<string, { title: string; open: (name: string | null) => View }> = {
  tables: { title: "Tables", open: tablesPage },
  sql: { title: "SQL", open: sqlPage },
  queries: { title: "Queries", open: queriesPage },
  streams: { title: "Streams", open: streamsPage },
  errors: { title: "Errors", open: errorsPage },
};

const main = h("main");
const tabs = Object.entries(PAGES).map(([page, { title }]) => ({ page, element: link(hrefOf(page), title, "tab") }));
const toggle = button("", toggleTheme, "button quiet");
toggle.dataset.testid = "theme-toggle";

let view: View | null = null;
let shown = "";
function show(): void {
  const { page, name } = currentRoute();
  // Details after ? belong to the view that is open; only another path opens another.
  const path = `${page}/${name ?? ""}`;
  if (path === shown) return;
  shown = path;
  view?.leave();
  const opened = PAGES[page] ?? PAGES["tables"]!;
  view = opened.open(name);
  main.replaceChildren(view.element);
  document.title = `${name ?? opened.title} – Millstream`;
  for (const tab of tabs) {
    if (PAGES[tab.page] === opened) tab.element.setAttribute("aria-current", "page");
    else tab.element.removeAttribute("aria-current");
  }
}

startTheme();
const nameToggle = (): void => {
  const other = currentTheme() === "dark" ? "Light" : "Dark";
  toggle.textContent = other;
  toggle.title = `Switch to the ${other.toLowerCase()} theme`;
};
onTheme(nameToggle);
nameToggle();
document.body.append(
  h("header", { class: "top" },
    h("a", { class: "brand", attrs: { href: "#/tables" } }, h("img", { attrs: { src: "icon.svg", alt: "", width: "20", height: "20" } }), "Millstream"),
    h("nav", { class: "tabs", attrs: { "aria-label": "Parts" } }, ...tabs.map((tab) => tab.element)),
    h("span", { class: "spacer" }),
    toggle),
  main,
);
addEventListener("hashchange", show);
show();
