// The URL holds the state: `#/tables/events_per_user?view=…`. The part behind # needs nothing of the server.

export type Route = { page: string; name: string | null; params: URLSearchParams };

export function currentRoute(): Route {
  const [path = "", search = ""] = location.hash.replace(/^#\/?/, "").split("?", 2);
  const [page = "", name] = path.split("/").map(decodeURIComponent);
  return { page: page || "tables", name: name || null, params: new URLSearchParams(search) };
}

export function hrefOf(page: string, name?: string | null, params: Record<string, string> = {}): string {
  const search = new URLSearchParams(params).toString();
  return `#/${page}${name ? `/${encodeURIComponent(name)}` : ""}${search ? `?${search}` : ""}`;
}

/** Notes a detail of the present view, without a new step in the history. */
export function noteParam(name: string, value: string | null): void {
  const route = currentRoute();
  if (value === null) route.params.delete(name);
  else route.params.set(name, value);
  history.replaceState(null, "", hrefOf(route.page, route.name, Object.fromEntries(route.params)));
}
