// A client whose types are made of the OpenAPI document: it appends, reads and follows.
//
// node shop.js URL

import type { components, operations, paths } from "./annals.js";

type Schemas = components["schemas"];
type Answer<Operation extends keyof operations, Status extends number> =
  operations[Operation]["responses"] extends Record<Status, { content: { "application/json": infer Body } }>
    ? Body
    : never;

const url = process.argv[2];
if (url === undefined) throw new Error("say where the server is");

/** The path of an operation, with its names in it. Only paths that the document has are taken. */
function path(template: keyof paths, names: Record<string, string> = {}, query: Record<string, string> = {}): string {
  const filled = template.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(names[name] ?? ""));
  const parameters = new URLSearchParams(query).toString();
  return `${url}${filled}${parameters === "" ? "" : `?${parameters}`}`;
}

class Refused extends Error {
  constructor(readonly problem: Schemas["Problem"]) {
    super(problem.detail);
  }
}

async function ask<Body>(method: string, to: string, body?: unknown, headers: Record<string, string> = {}): Promise<Body> {
  const sent = body === undefined ? {} : { body: JSON.stringify(body), headers: { "Content-Type": "application/json", ...headers } };
  const answer = await fetch(to, { method, headers: { Accept: "application/json", ...headers }, ...sent });
  if (!answer.ok) throw new Refused((await answer.json()) as Schemas["Problem"]);
  return (await answer.json()) as Body;
}

function check(holds: boolean, what: string): void {
  if (!holds) throw new Error(what);
}

async function append(): Promise<void> {
  const created: Schemas["NewEvent"] = {
    type: "order.created",
    data: { total: 99.95 },
    metadata: { tags: ["customer:1"], correlationId: "c-1" },
  };
  const picture: Schemas["NewEvent"] = { type: "order.photographed", dataBase64: "AAEC", dataContentType: "image/png" };
  const to = path("/events/{stream}", { stream: "order-1/ü" }, { expectedVersion: "none" });
  const receipt = await ask<Answer<"append", 201>>("POST", to, [created, picture]);
  check(receipt.streamVersion === 2 && receipt.events.length === 2, "two events were appended");
  check(receipt.durability === "sync", "they are on stable storage");
  try {
    await ask("POST", to, created);
    check(false, "the stream is there already");
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    check(error.problem.type === "urn:annals:problem:version-conflict", error.problem.type);
    check(error.problem.actualVersion === 2, "the problem says where the stream stands");
  }
  const transaction: Schemas["Transaction"] = {
    writes: [
      { stream: "account-1", events: [{ type: "debited", data: 5 }] },
      { stream: "account-2", expectedVersion: 0, events: [{ type: "credited", data: 5 }] },
    ],
    conditions: [{ failIfEventsMatch: { items: [{ types: ["account.closed"] }] }, after: 0 }],
  };
  const transacted = await ask<Answer<"transact", 201>>("POST", path("/transactions"), transaction);
  check(transacted.streams.map(({ position }) => position).join() === "3,4", "each has its position");
  const published = await ask<Answer<"publish", 202>>("POST", path("/events"), { type: "note.written", data: null });
  check(!Array.isArray(published) && published.status === "PUBLISHED", "one event has one answer");
}

async function read(): Promise<void> {
  let next: string | null | undefined = "/events?limit=2";
  const found: Schemas["Event"][] = [];
  while (next) {
    const page: Schemas["Page"] = await ask<Schemas["Page"]>("GET", `${url}${next}`);
    found.push(...page.events);
    next = page.next;
  }
  check(found.map(({ position }) => position).join() === "1,2,3,4,5", "pages follow one another");
  check(found[0]?.stream === "order-1/ü" && found[1]?.dataBase64 === "AAEC", "they are the events");
  const stream = await ask<Answer<"showStream", 200>>("GET", path("/streams/{stream}", { stream: "order-1/ü" }));
  check(stream.version === 2 && stream.category === "order", "the stream is known");
}

/** The blocks of a live answer. */
async function* blocks(after: string): AsyncGenerator<Schemas["ServerSentEvent"]> {
  const query: NonNullable<operations["follow"]["parameters"]["query"]> = { types: "order.created,note.written", envelope: "true" };
  const answer = await fetch(path("/events/stream", {}, query as Record<string, string>), {
    headers: { Accept: "text/event-stream", "Last-Event-ID": after },
  });
  check(answer.ok && answer.body !== null, `following: ${answer.status}`);
  let text = "";
  for await (const piece of answer.body!.pipeThrough(new TextDecoderStream())) {
    text += piece;
    for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
      const block: Schemas["ServerSentEvent"] = {};
      for (const line of text.slice(0, end).split("\n")) {
        const [name, ...value] = line.split(": ");
        if (name === "id" || name === "event" || name === "data") block[name] = value.join(": ");
      }
      yield block;
      text = text.slice(end + 2);
    }
  }
}

async function follow(): Promise<void> {
  let last = "0";
  const seen: number[] = [];
  const until = async (count: number): Promise<void> => {
    for await (const block of blocks(last)) {
      last = block.id ?? last;
      if (block.data !== undefined) seen.push((JSON.parse(block.data) as Schemas["Event"]).position);
      if (seen.length === count) return;
    }
  };
  await until(2);
  check(seen.join() === "1,5", `what was there: ${seen.join()}`);
  await ask("POST", path("/events"), { type: "note.written", data: "later" } satisfies Schemas["NewEvent"]);
  await until(3);
  check(seen.join() === "1,5,6", `what came: ${seen.join()}`);
}

await append();
await read();
await follow();
console.log("appended, read and followed");
