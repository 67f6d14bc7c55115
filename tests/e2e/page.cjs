// What an analyst does on the page, in Chromium. Argument: the service's address, with the view `totals` running.
// Prints what was seen as JSON; fails when something does not show up.
const { chromium } = require("playwright-core");

const PATIENCE_MS = 30_000;
const RECORDS = "/api/v1/streams/user-events/records?key=user_id";

async function put(url, events) {
  const records = events.map((event) => ({ ...event, server_time: "2026-01-01T00:00:00Z" }));
  const answer = await fetch(url + RECORDS, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(records) });
  if (!answer.ok) throw new Error(await answer.text());
}

/** Waits, without reloading, until the grid's texts are as wanted, and answers them. */
async function cells(page, isWanted) {
  const read = () => page.locator("perspective-viewer regular-table tbody tr").evaluateAll((rows) => rows.map((row) => [...row.children].map((cell) => cell.textContent ?? "")));
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const found = await read();
    if (isWanted(found)) return found;
    if (Date.now() > deadline) throw new Error(`the grid stays at ${JSON.stringify(found)}`);
    await page.waitForTimeout(50);
  }
}

async function write(page, sql) {
  await page.getByTestId("sql-editor").locator(".cm-content").click();
  await page.keyboard.press("ControlOrMeta+a");
  await page.keyboard.insertText(sql);
}

async function main([url]) {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
  });
  const seen = { errors: [] };
  try {
    const page = await browser.newPage();
    page.setDefaultTimeout(PATIENCE_MS);
    page.on("pageerror", (error) => seen.errors.push(error.message));

    await put(url, [{ user_id: "u1", amount: 1 }]);
    await page.goto(url);
    await page.getByTestId("tables-list").waitFor();
    await page.getByTestId("table-link-totals").click();
    await page.getByTestId("grid").waitFor();
    await page.getByTestId("connection-state").filter({ hasText: "Live" }).waitFor();
    seen.before = await cells(page, (rows) => rows.length === 1);
    await put(url, [{ user_id: "u1", amount: 2 }, { user_id: "u2", amount: 5 }]);
    seen.after = await cells(page, (rows) => rows.length === 2 && rows[0].includes("2"));

    await page.goto(`${url}/#/sql`);
    await write(page, "SELECT nope FROM totals");
    await page.getByTestId("sql-run").click();
    const error = page.getByTestId("sql-error").filter({ hasText: "nope" });
    await error.waitFor();
    seen.error = await error.innerText();

    await write(page, "CREATE MATERIALIZED VIEW big_spenders AS SELECT user_id, sum(amount) AS spent FROM events WHERE amount > 1 GROUP BY user_id");
    await page.getByTestId("sql-run").click();
    await page.getByTestId("sql-result").filter({ hasText: "big_spenders" }).waitFor();
    await page.goto(`${url}/#/tables/big_spenders`);
    await page.getByTestId("table-link-big_spenders").waitFor();
    await put(url, [{ user_id: "u3", amount: 7 }]);
    seen.created = await cells(page, (rows) => rows.some((row) => row.includes("u3")));

    await page.goto(`${url}/#/queries`);
    await page.getByTestId("queries-list").filter({ hasText: "big_spenders" }).waitFor();
  } finally {
    await browser.close();
  }
  console.log(JSON.stringify(seen));
}

main(process.argv.slice(2)).catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
