// Serves the example page, opens it in Chromium, and tells what it shows.
//
// node page.mjs PAGE SCREENSHOT
//
// Says `serving ORIGIN`, then does what each line of its input asks and answers with one line.

import { createServer } from "node:http";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const [, , file, screenshot] = process.argv;
const WAIT_MS = 30_000;

const web = createServer((_, answer) => {
  answer.setHeader("Content-Type", "text/html; charset=utf-8");
  answer.end(readFileSync(file));
});
await new Promise((listening) => web.listen(0, "127.0.0.1", listening));
const origin = `http://127.0.0.1:${web.address().port}`;

const browser = await chromium.launch({
  executablePath: "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
const page = await browser.newPage({ viewport: { width: 960, height: 600 } });
const complaints = [];
const lastIds = [];
page.on("pageerror", (error) => complaints.push(String(error)));
page.on("console", (message) => {
  // That the server is away for a while is the point.
  if (message.type() === "error" && !/Failed to load resource|ERR_/.test(message.text())) complaints.push(message.text());
});
page.on("request", async (request) => {
  const id = (await request.allHeaders())["last-event-id"];
  if (id !== undefined) lastIds.push(id);
});

const positions = () => page.$$eval("tbody tr td:first-child", (cells) => cells.map((cell) => cell.textContent).reverse());
const does = {
  async open(server, types = "") {
    await page.goto(`${origin}/?${new URLSearchParams({ server, types })}`);
    return page.title();
  },
  async state(wanted) {
    await page.waitForFunction((is) => document.querySelector("#state").dataset.is === is, wanted, { timeout: WAIT_MS });
    return page.textContent("#state");
  },
  async rows(count) {
    await page.waitForFunction((count) => document.querySelectorAll("tbody tr").length >= count, Number(count), { timeout: WAIT_MS });
    return (await positions()).join();
  },
  async newest() {
    return page.$eval("tbody tr", (row) => [...row.cells].slice(2).map((cell) => cell.textContent).join(" | "));
  },
  async picture(name) {
    await page.screenshot({ path: `${screenshot}/${name}.png` });
    return "taken";
  },
  async ids() {
    return lastIds.join();
  },
  async complaints() {
    return JSON.stringify(complaints);
  },
};

console.log(`serving ${origin}`);
try {
  for await (const line of createInterface({ input: process.stdin })) {
    const [what, ...words] = line.split(" ");
    console.log(await does[what](...words));
  }
} finally {
  await browser.close();
  web.close();
}
