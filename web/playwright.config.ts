import { defineConfig } from "@playwright/test";

const PORT = 18_081;

export default defineConfig({
  testDir: "tests",
  timeout: 30_000,
  workers: 1,
  reporter: "line",
  use: {
    baseURL: `http://127.0.0.1:${PORT}`,
    viewport: { width: 1280, height: 800 },
    launchOptions: { executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking"] },
  },
  webServer: { command: `node mock/server.mjs --port ${PORT}`, url: `http://127.0.0.1:${PORT}/health`, reuseExistingServer: false },
});
