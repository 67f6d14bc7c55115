// Light or dark: as the system says, until the toggle says otherwise.

export type Theme = "light" | "dark";
const STORED = "millstream.theme";
const system = matchMedia("(prefers-color-scheme: dark)");
const listeners = new Set<(theme: Theme) => void>();

export function currentTheme(): Theme {
  const stored = localStorage.getItem(STORED);
  if (stored === "light" || stored === "dark") return stored;
  return system.matches ? "dark" : "light";
}

function apply(): void {
  const theme = currentTheme();
  document.documentElement.dataset.theme = theme;
  for (const listener of listeners) listener(theme);
}

export function startTheme(): void {
  system.addEventListener("change", apply);
  apply();
}

/** Goes to the other theme; where that is what the system says, the choice is forgotten again. */
export function toggleTheme(): void {
  const next: Theme = currentTheme() === "dark" ? "light" : "dark";
  if ((next === "dark") === system.matches) localStorage.removeItem(STORED);
  else localStorage.setItem(STORED, next);
  apply();
}

/** Calls back on each change; answers how to stop. */
export function onTheme(listener: (theme: Theme) => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}
