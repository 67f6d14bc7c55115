// Starts Perspective: its engine in a worker, its viewer in the page. Once, when the first grid is opened.
import perspective, { type Client } from "@perspective-dev/client";
import { init_client } from "@perspective-dev/viewer";
import "@perspective-dev/viewer-datagrid";
import "@perspective-dev/viewer/dist/css/pro.css";
import "@perspective-dev/viewer/dist/css/pro-dark.css";
import "./viewer.css";
import SERVER_WASM from "@perspective-dev/server/dist/wasm/perspective-server.wasm?url";
import CLIENT_WASM from "@perspective-dev/viewer/dist/wasm/perspective-viewer.wasm?url";

let engine: Promise<Client> | null = null;

export function startEngine(): Promise<Client> {
  engine ??= (async () => {
    await Promise.all([perspective.init_server(fetch(SERVER_WASM)), init_client(fetch(CLIENT_WASM))]);
    return perspective.worker();
  })();
  return engine;
}
