// Answers each `!ping` of a group once: bot.js SERVER[,SERVER...] GROUP STATE_FILE
import { createHash } from "node:crypto";
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";

const [list = "", name = "", state = ""] = process.argv.slice(2);
const servers = list.split(","), group = `/v1/groups/${name}`;
let token = "";

/** Asks the servers in turn until one answers. */
async function call(method: string, path: string, content?: object, key = ""): Promise<any> {
  for (;;) {
    const headers = { "Content-Type": "application/json", "Authorization": `Bearer ${token}`, "Idempotency-Key": key };
    const body = content ? JSON.stringify(content) : null;
    const options = { method, headers, body, signal: AbortSignal.timeout(40_000) };
    const answer = await fetch(servers[0] + path, options).catch((error) => console.error(servers[0], error));
    const data = await answer?.json().catch(() => undefined); // Not JSON: an answer of something between.
    if (answer?.ok && data) return data;
    if (answer?.status === 401 && data?.code) token = (await call("POST", "/v1/sessions", { name: "pinger" })).token;
    else if (answer && data?.code && answer.status < 500 && ![408, 429].includes(answer.status)) throw data; // A mistake in this program.
    else { // No server; or it has too much to do, or is behind.
      await new Promise((done) => setTimeout(done, 500));
      servers.push(servers.shift()!);
    }
  }
}

async function react(message: any, cursor: string) {
  if (!message.text.startsWith("!ping")) return;
  const key = createHash("sha256").update(`pinger ${message.id}`).digest("hex");
  await call("POST", `${group}/messages?at_least=${joined}`, { text: `pong ${message.id}`, seen: [cursor] }, key);
}

const { cursor: joined } = await call("PUT", `${group}/members/me`);
let cursor: string = existsSync(state) ? readFileSync(state, "utf8") : joined;
for (;;) {
  writeFileSync(`${state}.new`, cursor); // Only now: what came before it is answered.
  renameSync(`${state}.new`, state);
  const page = await call("GET", `${group}/changes?wait_ms=20000&at_least=${joined}&cursor=${cursor}`);
  cursor = page.cursor;
  for (const change of page.events) {
    if (change.event === "message") await react(change.data, change.cursor);
    if (change.event !== "reset") continue;
    // The cursor is of no use any more: everything anew.
    let older = await call("GET", `${group}/messages?limit=500&at_least=${joined}`);
    for (cursor = older.cursor; older.messages.length > 0; ) {
      for (const message of older.messages) await react(message, cursor);
      const place = `before=${older.messages[0].id}&at_least=${cursor}`;
      older = await call("GET", `${group}/messages?limit=500&${place}`);
    }
  }
}
