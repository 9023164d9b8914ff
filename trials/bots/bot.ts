// Answers each `!ping` of a group once: bot.js SERVER[,SERVER...] GROUP STATE_FILE
import { createHash } from "node:crypto";
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";

const [list = "", name = "", state = ""] = process.argv.slice(2);
const servers = list.split(","), group = `/v1/groups/${name}`;
const pause = (ms: number) => new Promise((done) => setTimeout(done, ms));
let token = "";

/** Asks the servers in turn until one answers; returns the answer and its mark. */
async function call(method: string, path: string, body?: object, key?: string): Promise<[any, string]> {
  for (;;) {
    const headers: Record<string, string> = { "Content-Type": "application/json", Authorization: `Bearer ${token}` };
    if (key) headers["Idempotency-Key"] = key;
    try {
      const signal = AbortSignal.timeout(40_000);
      const answer = await fetch(servers[0] + path, { method, headers, signal, ...(body && { body: JSON.stringify(body) }) });
      const text = await answer.text();
      if (answer.ok) return [JSON.parse(text), answer.headers.get("Causeway-Mark") ?? ""];
      if (answer.status === 401) {
        token = (await call("POST", "/v1/sessions", { name: "pinger" }))[0].token;
        continue;
      }
      if (answer.status < 500 && answer.status !== 429) { console.error(text); process.exit(1); } // A mistake in this program.
      await pause(1000); // Too much to do, behind, or a proxy without a server.
    } catch { await pause(200); } // No server, or no answer of one.
    servers.push(servers.shift()!);
  }
}

const [snapshot, mark] = await call("PUT", `${group}/members/me`);
let cursor: string = existsSync(state) ? readFileSync(state, "utf8") : snapshot.cursor;
for (;;) {
  writeFileSync(`${state}.new`, cursor); // Only now: what came before it is answered.
  renameSync(`${state}.new`, state);
  const [page] = await call("GET", `${group}/changes?wait_ms=20000&at_least=${mark}&cursor=${cursor}`);
  for (const { event, cursor: seen, data } of page.events) {
    if (event !== "message" || !data.text.startsWith("!ping")) continue;
    const key = createHash("sha256").update(`pinger ${data.id}`).digest("hex");
    await call("POST", `${group}/messages?at_least=${mark}`, { text: `pong ${data.id}`, seen: [seen] }, key);
  }
  cursor = page.cursor;
}
