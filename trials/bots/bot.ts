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
    const answer = await fetch(servers[0] + path, options).catch(() => undefined);
    const data = await answer?.json().catch(() => undefined); // Not JSON: an answer of something between.
    if (answer?.ok && data) return data;
    if (answer?.status === 401) token = (await call("POST", "/v1/sessions", { name: "pinger" })).token;
    else if (answer && !answer.ok && answer.status < 500 && answer.status !== 429) throw data; // A mistake in this program.
    else { // No server; or it has too much to do, or is behind.
      await new Promise((done) => setTimeout(done, 500));
      servers.push(servers.shift()!);
    }
  }
}

const { cursor: joined } = await call("PUT", `${group}/members/me`);
let cursor: string = existsSync(state) ? readFileSync(state, "utf8") : joined;
for (;;) {
  writeFileSync(`${state}.new`, cursor); // Only now: what came before it is answered.
  renameSync(`${state}.new`, state);
  const page = await call("GET", `${group}/changes?wait_ms=20000&at_least=${joined}&cursor=${cursor}`);
  for (const { event, cursor: seen, data } of page.events) {
    if (event !== "message" || !data.text.startsWith("!ping")) continue;
    const key = createHash("sha256").update(`pinger ${data.id}`).digest("hex");
    await call("POST", `${group}/messages?at_least=${joined}`, { text: `pong ${data.id}`, seen: [seen] }, key);
  }
  cursor = page.cursor;
}
