// The part of @perspective-dev/viewer that the page uses. The package's own types point into its TypeScript
// sources, which do not pass our stricter settings.
import type { Client, Filter, ViewConfigUpdate } from "@perspective-dev/client";

export type ViewerConfigUpdate = Pick<ViewConfigUpdate, "group_by" | "split_by" | "columns" | "filter" | "sort" | "expressions" | "aggregates"> & {
  table?: string;
  title?: string | null;
  theme?: string;
  plugin?: string;
  settings?: boolean;
  columns_config?: Record<string, Record<string, unknown>>;
  plugin_config?: Record<string, unknown>;
};
export type { Filter };

export interface HTMLPerspectiveViewerElement extends HTMLElement {
  load(client: Client): Promise<void>;
  restore(config: ViewerConfigUpdate): Promise<void>;
  save(): Promise<ViewerConfigUpdate>;
  delete(): Promise<void>;
  toggleConfig(open?: boolean): Promise<void>;
  setThrottle(milliseconds: number): void;
  getPlugin(name: string): HTMLElement;
  flush(): Promise<void>;
}

export function init_client(wasm: Promise<Response>): Promise<void>;
