import { defineConfig } from "vite";

const SERVICE = "http://127.0.0.1:8080";

export default defineConfig({
  base: "./",
  // The page is served by the service itself: nothing is inlined, so that the Content-Security-Policy stays narrow.
  build: { target: "es2022", assetsInlineLimit: 0, chunkSizeWarningLimit: 1_000 },
  server: { host: "127.0.0.1", proxy: { "/api": SERVICE, "/health": SERVICE, "/ready": SERVICE } },
});
