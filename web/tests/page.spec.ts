import { expect, test, type Page } from "@playwright/test";

/** The texts of the grid's cells, row by row, as far as they are on the screen. */
const cells = (page: Page) => page.locator("perspective-viewer regular-table tbody tr").evaluateAll((rows) => rows.map((row) => [...row.children].map((cell) => cell.textContent ?? "")));

async function writeSql(page: Page, sql: string): Promise<void> {
  await page.getByTestId("sql-editor").locator(".cm-content").click();
  await page.keyboard.press("ControlOrMeta+a");
  await page.keyboard.insertText(sql);
}

test.beforeEach(async ({ page }) => {
  page.on("pageerror", (error) => expect.soft(error.message, "an error on the page").toBe(""));
});

test("a cell of the live grid changes by itself", async ({ page }) => {
  await page.goto("/");
  await page.getByTestId("table-link-sensor_latest").click();
  await expect(page.getByTestId("connection-state")).toHaveText("Live");
  await expect.poll(async () => (await cells(page))[0]?.[0]).toBe("9000000000"); // an id: exact past 2^31, ungrouped
  const before = (await cells(page))[0];
  await expect.poll(async () => (await cells(page))[0]).not.toEqual(before);
});

test("a windowed table shows its watermark, the newest window first, and whether it has closed", async ({ page }) => {
  await page.goto("/#/tables/events_per_user");
  await expect(page.getByText(/s old/)).toBeVisible();
  await expect.poll(async () => (await cells(page))[0]?.at(-1)).toBe("false");
  await expect.poll(async () => (await cells(page))[13]?.at(-1)).toBe("true");
  expect((await cells(page))[0]?.[0]).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:00\.000$/);
});

test("the grid's sort order is in the URL and survives a reload", async ({ page }) => {
  await page.goto("/#/tables/events_per_user");
  await page.locator("perspective-viewer regular-table thead th", { hasText: "user_id" }).click();
  await expect(page).toHaveURL(/view=.*user_id/);
  await page.reload();
  await expect.poll(async () => (await cells(page)).slice(0, 3).map((row) => row[2])).toEqual(["lena", "lena", "lena"]);
});

test("a broken connection is resumed", async ({ page }) => {
  let broken = 0;
  await page.route("**/changes", async (route) => {
    if (broken++ === 0) await route.fulfill({ status: 200, contentType: "text/event-stream", body: 'id: 0\nevent: snapshot\ndata: {"rows":[]}\n\n' });
    else await route.continue();
  });
  await page.goto("/#/tables/sensor_latest");
  await expect(page.getByTestId("connection-state")).toHaveText("Reconnecting");
  await expect(page.getByTestId("connection-state")).toHaveText("Live");
  await expect.poll(async () => (await cells(page)).length).toBeGreaterThan(5);
});

test("a hidden tab disconnects, and resumes where it was", async ({ page }) => {
  await page.goto("/#/tables/events_per_user");
  await expect(page.getByTestId("connection-state")).toHaveText("Live");
  await expect.poll(async () => (await cells(page)).length).toBeGreaterThan(5);
  const setHidden = (hidden: boolean) =>
    page.evaluate((value) => {
      Object.defineProperty(document, "hidden", { configurable: true, get: () => value });
      document.dispatchEvent(new Event("visibilitychange"));
    }, hidden);
  await setHidden(true);
  await expect(page.getByTestId("connection-state")).toHaveText("Paused while hidden");
  const resumed = page.waitForRequest("**/changes");
  await setHidden(false);
  expect(Number((await resumed).headers()["last-event-id"])).toBeGreaterThan(0);
  await expect(page.getByTestId("connection-state")).toHaveText("Live");
});

test("a SQL error is shown in place, with its line, as one types", async ({ page }) => {
  await page.goto("/#/sql");
  await writeSql(page, "SELECT *\nFORM events_per_user");
  await expect(page.getByTestId("sql-error")).toContainText("line 2, column 1");
  await expect(page.getByTestId("sql-error")).toContainText("did you mean FROM?");
  await expect(page.locator(".cm-lintRange-error")).toHaveText("FORM");
  await page.getByTestId("sql-run").click();
  await expect(page.getByTestId("sql-error")).toContainText("E01");
});

test("the draft survives a reload, and Ctrl-Enter runs it", async ({ page }) => {
  await page.goto("/#/sql");
  await writeSql(page, "SELECT * FROM sensor_latest LIMIT 3");
  await page.reload();
  await expect(page.locator(".cm-content")).toContainText("sensor_latest LIMIT 3");
  await page.locator(".cm-content").click();
  await page.keyboard.press("ControlOrMeta+Enter");
  await expect(page.getByTestId("sql-result").locator("tbody tr")).toHaveCount(3);
});

test("submitting SQL shows the new live table", async ({ page }) => {
  await page.goto("/#/sql");
  const name = `per_user_${Date.now()}`;
  await writeSql(page, `CREATE MATERIALIZED VIEW ${name} AS SELECT user_id, count(*) AS events FROM events GROUP BY user_id`);
  await page.getByTestId("sql-run").click();
  await expect(page.getByTestId("sql-result")).toContainText(`Live table ${name} created`);
  await page.getByRole("link", { name: "Open it" }).click();
  await expect(page.getByTestId("connection-state")).toHaveText("Live");
  await expect.poll(async () => (await cells(page)).length).toBe(12);
  await expect(page.getByTestId(`table-link-${name}`)).toBeVisible();
});

test("a query shows which shard holds its watermark back, and can be paused and dropped", async ({ page }) => {
  await page.goto("/#/queries");
  await page.getByTestId("queries-list").getByRole("link", { name: "events_per_user" }).click();
  await expect(page.locator("tr.held")).toContainText("shardId-000000000002");
  await expect(page.locator("svg.graph .node")).toHaveCount(5);
  await page.getByRole("button", { name: "Pause" }).click();
  await expect(page.getByRole("button", { name: "Resume" })).toBeVisible();
  await page.getByRole("button", { name: "Resume" }).click();
  await expect(page.getByRole("button", { name: "Pause" })).toBeVisible();
  await page.goto("/#/queries/archive");
  await page.getByRole("button", { name: "Drop…" }).click();
  await page.getByRole("button", { name: "Drop", exact: true }).click();
  await expect(page.getByTestId("queries-list")).not.toContainText("archive");
});

test("a newcomer makes a stream and sends it a record by hand", async ({ page }) => {
  await page.goto("/#/streams");
  const name = `orders-${Date.now()}`;
  await page.getByLabel("Name of the new stream").fill(name);
  await page.getByRole("button", { name: "Create" }).click();
  await page.getByLabel("Record as JSON").fill('{"user_id":"u1","note":"<b>by hand</b>"}');
  await page.getByRole("button", { name: "Send" }).click();
  await expect(page.getByTestId("send-answer")).toHaveText("1 record stored");
  await expect(page.getByTestId("stream-sample")).toContainText("<b>by hand</b>");
  await page.getByLabel("Record as JSON").fill("{nonsense");
  await page.getByRole("button", { name: "Send" }).click();
  await expect(page.getByRole("alert")).toContainText("Record refused");
});

test("bad records are listed with their reason", async ({ page }) => {
  await page.goto("/#/errors");
  await expect(page.getByTestId("errors-list")).toContainText("'twelve' is not a DOUBLE");
});

test("dark mode follows the system, and the toggle overrides it", async ({ page }) => {
  await page.emulateMedia({ colorScheme: "dark" });
  await page.goto("/#/tables/events_per_user");
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  expect(await ground()).toBe("rgb(20, 24, 29)");
  await expect.poll(() => page.locator("perspective-viewer").getAttribute("theme")).toBe("Pro Dark");
  await page.getByTestId("theme-toggle").click();
  expect(await ground()).toBe("rgb(255, 255, 255)");
  await expect.poll(() => page.locator("perspective-viewer").getAttribute("theme")).toBe("Pro Light");
});

test("a token is asked for where the service wants one, and goes with the changes too", async ({ page }) => {
  await page.route("**/api/**", (route) => (route.request().headers()["authorization"] === "Bearer secret" ? route.continue() : route.fulfill({ status: 401, body: "{}" })));
  await page.goto("/#/tables/events_per_user");
  const dialog = page.getByTestId("token-dialog");
  await dialog.getByLabel("Token").fill("wrong");
  await page.keyboard.press("Enter");
  await expect(dialog).toContainText("not accepted");
  await dialog.getByLabel("Token").fill("secret");
  await page.keyboard.press("Enter");
  await expect(page.getByTestId("connection-state")).toHaveText("Live");
});

test("20,000 rows with 2,000 upserts a second leave the page responsive", async ({ page }) => {
  await page.goto("/#/tables/sensor_latest");
  await expect(page.getByTestId("connection-state")).toHaveText("Live");
  await expect.poll(async () => (await cells(page)).length).toBeGreaterThan(5);
  const longest = await page.evaluate(
    () =>
      new Promise<number>((resolve) => {
        const began = performance.now();
        let last = began;
        let worst = 0;
        const frame = (now: number): void => {
          worst = Math.max(worst, now - last);
          last = now;
          if (now - began < 4_000) requestAnimationFrame(frame);
          else resolve(worst);
        };
        requestAnimationFrame(frame);
      }),
  );
  expect(longest, "the longest pause between two frames, in ms").toBeLessThan(400);
  await page.getByRole("link", { name: "Queries" }).first().click();
  await expect(page.getByTestId("queries-list")).toContainText("sensor_latest", { timeout: 2_000 });
});
