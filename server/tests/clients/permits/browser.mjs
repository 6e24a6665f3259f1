// Writes events in any form, and reads them in any form, in a page in Chromium: node browser.mjs LINES
//
// Says where its page comes from, then does what each line of its input asks: URL write|read FORM. Answers with `done`, or with the events
// that were read as one line of JSON: the server's own, without what the store adds.

import { createServer } from "node:http";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const [, , lines] = process.argv;

const web = createServer((_, answer) => answer.setHeader("Content-Type", "text/html").end("<!doctype html><title>permits</title>"));
await new Promise((listening) => web.listen(0, "127.0.0.1", listening));
const origin = `http://127.0.0.1:${web.address().port}`;
const browser = await chromium.launch({
  executablePath: "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
const page = await browser.newPage();
await page.goto(origin);

// Runs in the page.
function client(events) {
  const CHUNK = 500;
  const STRUCTURED = "application/cloudevents+json";
  const BATCH = "application/cloudevents-batch+json";
  const chunks = [];
  for (let at = 0; at < events.length; at += CHUNK) chunks.push(events.slice(at, at + CHUNK));
  const inLines = (some) => some.map((event) => `${JSON.stringify(event)}\n`).join("");

  const attributes = (event) => ({
    specversion: "1.0", id: event.id, source: event.source, type: event.type, subject: event.stream, time: event.timestamp,
    correlationid: event.metadata.correlationId, version: event.metadata.version,
  });
  const cloud = (event) => ({ ...attributes(event), data: event.data });
  const native = (event) => ({
    id: event.id, type: event.type, stream: event.subject, timestamp: event.time, source: event.source, data: event.data,
    metadata: { correlationId: event.correlationid, version: event.version },
  });

  async function ask(to, sent) {
    const answer = await fetch(to, sent);
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${to}: ${answer.status} ${text}`);
    return text;
  }
  const post = (to, body, contentType, headers = {}) =>
    ask(to, { method: "POST", body, headers: { "Content-Type": contentType, ...headers } });
  const get = (to, accept) => ask(to, { headers: { Accept: accept } });

  function transaction(chunk) {
    const writes = new Map();
    for (const event of chunk) {
      if (!writes.has(event.stream)) writes.set(event.stream, { stream: event.stream, events: [] });
      writes.get(event.stream).events.push(event);
    }
    return { writes: [...writes.values()] };
  }

  const write = {
    single: async (url) => { for (const event of events) await post(`${url}/events`, JSON.stringify(event), "application/json"); },
    array: async (url) => { for (const chunk of chunks) await post(`${url}/events`, JSON.stringify(chunk), "application/json"); },
    lines: async (url) => { for (const chunk of chunks) await post(`${url}/events`, inLines(chunk), "application/x-ndjson"); },
    import: (url) => post(`${url}/import`, inLines(events), "application/x-ndjson"),
    transactions: async (url) => {
      for (const chunk of chunks) await post(`${url}/transactions`, JSON.stringify(transaction(chunk)), "application/json");
    },
    "cloud-binary": async (url) => {
      for (const event of events) {
        const headers = Object.entries(attributes(event)).map(([name, value]) => [`ce-${name}`, encodeURIComponent(value)]);
        await post(`${url}/events`, JSON.stringify(event.data), "application/json", Object.fromEntries(headers));
      }
    },
    "cloud-structured": async (url) => {
      for (const event of events) await post(`${url}/events`, JSON.stringify(cloud(event)), STRUCTURED);
    },
    "cloud-batch": async (url) => {
      for (const chunk of chunks) await post(`${url}/events`, JSON.stringify(chunk.map(cloud)), BATCH);
    },
  };

  // An EventSource does not end by itself: the last position that there is ends it.
  async function follow(url, parameters, each) {
    const last = (await get(`${url}/events?direction=backward&limit=1`, "application/x-ndjson")).trim();
    const end = JSON.parse(last).position;
    const found = [];
    await new Promise((done, fail) => {
      const source = new EventSource(`${url}/events/stream?named=false${parameters}`);
      source.onmessage = (message) => {
        found.push(each(JSON.parse(message.data)));
        if (Number(message.lastEventId) === end) done(source.close());
      };
      source.onerror = () => fail(new Error("the stream broke off"));
    });
    return found;
  }

  const inText = (text) => text.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line));
  const read = {
    lines: async (url) => inText(await get(`${url}/events`, "application/x-ndjson")),
    pages: async (url) => {
      const found = [];
      for (let next = "/events?limit=1000"; next !== null; ) {
        const page = JSON.parse(await get(`${url}${next}`, "application/json"));
        found.push(...page.events);
        next = page.next;
      }
      return found;
    },
    "follow-lines": async (url) => inText(await get(`${url}/events/stream?live=false`, "application/x-ndjson")).slice(0, -1),
    blocks: (url) => follow(url, "", (data) => ({ data })),
    envelopes: (url) => follow(url, "&envelope=true", (event) => event),
    "cloud-envelopes": (url) => follow(url, "&envelope=cloudevents", native),
    "cloud-batch": async (url) => JSON.parse(await get(`${url}/events`, BATCH)).map(native),
  };

  window.does = async (what, form, url) => {
    if (what === "write") return void (await write[form](url));
    const own = ["stream", "id", "type", "timestamp", "source", "data", "metadata"];
    const found = await read[form](url);
    return found.map((event) => Object.fromEntries(own.filter((name) => name in event).map((name) => [name, event[name]])));
  };
}

const events = readFileSync(lines, "utf8").split("\n").filter((line) => line !== "").map((line) => JSON.parse(line));
await page.evaluate(client, events);
console.log(origin);
try {
  for await (const line of createInterface({ input: process.stdin })) {
    const [url, what, form] = line.split(" ");
    const found = await page.evaluate(([what, form, url]) => window.does(what, form, url), [what, form, url]);
    console.log(what === "write" ? "done" : JSON.stringify(found));
  }
} finally {
  await browser.close();
  web.close();
}
