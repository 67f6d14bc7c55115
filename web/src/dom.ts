// Makes elements. The page needs no framework: a view builds its elements once and sets their text as data arrives.

type Props = { class?: string; text?: string; title?: string; testid?: string; on?: Record<string, (event: Event) => void>; attrs?: Record<string, string> };
type Child = Node | string | null | undefined | false;

/** `h("a", { class: "link", attrs: { href: "#/sql" } }, "SQL")` */
export function h<K extends keyof HTMLElementTagNameMap>(tag: K, props: Props = {}, ...children: Child[]): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  if (props.class) element.className = props.class;
  if (props.text !== undefined) element.textContent = props.text;
  if (props.title) element.title = props.title;
  if (props.testid) element.dataset.testid = props.testid;
  for (const [name, value] of Object.entries(props.attrs ?? {})) element.setAttribute(name, value);
  for (const [name, listener] of Object.entries(props.on ?? {})) element.addEventListener(name, listener);
  element.append(...children.filter((child): child is Node | string => child !== null && child !== undefined && child !== false));
  return element;
}

/** Sets text only where it differs, so that a selection survives a refresh. */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/** What every part of the page is: an element, and how to leave it. */
export type View = { element: HTMLElement; leave: () => void };

export const link = (href: string, text: string, className = ""): HTMLAnchorElement => h("a", { class: className, text, attrs: { href } });

export const button = (text: string, click: () => void, className = "button"): HTMLButtonElement =>
  h("button", { class: className, text, attrs: { type: "button" }, on: { click } });

/** What stands where there is nothing yet: a sentence, and what to do about it. */
export const emptyState = (title: string, ...more: Child[]): HTMLElement => h("div", { class: "empty" }, h("p", { class: "empty-title", text: title }), ...more);
