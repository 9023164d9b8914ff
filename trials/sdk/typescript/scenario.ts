// One scenario through a client of openapi-typescript and openapi-fetch: what everybody's bot does.
import createClient, { type Client } from "openapi-fetch";
import { createInterface } from "node:readline/promises";
import type { components, paths } from "./api.js";

type Api = Client<paths>;
type Message = components["schemas"]["Message"];
const group = "sdk-typescript";

const replicas = [1, 2, 3].map((number) => process.env[`CAUSEWAY_${number}`] ?? "");
const lines = createInterface({ input: process.stdin });

async function loggedIn(name: string): Promise<Api[]> {
  const at = (url: string, token?: string): Api =>
    createClient<paths>({
      baseUrl: url,
      headers: token === undefined ? {} : { Authorization: `Bearer ${token}` },
    });
  const { data, error } = await at(replicas[0]!).POST("/v1/sessions", { body: { name } });
  if (data === undefined) throw new Error(error.code);
  return replicas.map((url) => at(url, data.token));
}

function demand<T>(data: T | undefined, error: { code: string } | undefined): T {
  if (data === undefined) throw new Error(`refused: ${error?.code}`);
  return data;
}

function same(what: string, given: unknown, wanted: unknown): void {
  if (given !== wanted) throw new Error(`${what}: ${String(given)}, not ${String(wanted)}`);
}

const ann = await loggedIn("ann-typescript");
const bob = await loggedIn("bob-typescript");

const joined = await ann[0]!.PUT("/v1/groups/{group}/members/me", { params: { path: { group } } });
// Where a proxy strips the mark, the cursor does the same.
const at_least = joined.response.headers.get("Causeway-Mark") ?? demand(joined.data, joined.error).cursor;

const post = async (api: Api, text: string, key: string): Promise<[Message, number]> => {
  const { data, error, response } = await api.POST("/v1/groups/{group}/messages", {
    params: { path: { group }, header: { "Idempotency-Key": key }, query: { at_least } },
    body: { text },
  });
  return [demand(data, error), response.status];
};
const [first, created] = await post(ann[0]!, "one", "key 1");
const [again] = await post(ann[1]!, "one", "key 1");
same("status", created, 201);
same("id of the retry", again.id, first.id);
const [second] = await post(ann[0]!, "two", "key 2");

const read = async (query: { limit: number; before?: string; at_least: string }) => {
  const page = await ann[0]!.GET("/v1/groups/{group}/messages", { params: { path: { group }, query } });
  return demand(page.data, page.error);
};
const newest = await read({ limit: 1, at_least });
same("newest", newest.messages[0]?.id, second.id);
const older = await read({ limit: 1, before: second.id, at_least });
same("older", older.messages[0]?.id, first.id);
same("has_before", older.has_before, false);

const bobs = await bob[0]!.PUT("/v1/groups/{group}/members/me", { params: { path: { group } } });
demand(bobs.data, bobs.error);
const path = { group, id: first.id };
const liked = await bob[0]!.PUT("/v1/groups/{group}/messages/{id}/likes/me", { params: { path } });
same("likes", demand(liked.data, liked.error).likes, 1);
const after = await bob[0]!.GET("/v1/groups/{group}", { params: { path: { group } } });
const like_mark = liked.response.headers.get("Causeway-Mark") ?? demand(after.data, after.error).cursor;

// A typed error.
const own = await ann[0]!.PUT("/v1/groups/{group}/messages/{id}/likes/me", { params: { path } });
same("own message", own.error?.code, "own_message");
same("status", own.error?.status, 409);

// A code that is of a later version, where the server is.
const nothing = { params: { path: { group, id: "nothing" } } };
const missing = await ann[0]!.GET("/v1/groups/{group}/messages/{id}", nothing);
same("status", missing.error?.status, 404);

// Where to fail over to, and what a replica knows of the others.
const server = await ann[0]!.GET("/v1/server");
same("replicas", demand(server.data, server.error).public_urls.length, 3);
const view = await ann[0]!.GET("/v1/view");
const { peers, alarms } = demand(view.data, view.error);
for (const said of [...peers.flatMap((peer) => [peer.status, peer.out]), ...alarms.map((alarm) => alarm.kind)]) {
  same("type of what is said", typeof said, "string");
}

// Followed at the third replica, while the second one is killed.
const snapshot = await ann[2]!.GET("/v1/groups/{group}", {
  params: { path: { group }, query: { at_least: like_mark } },
});
let cursor = demand(snapshot.data, snapshot.error).cursor;
const answered = lines[Symbol.asyncIterator]();
console.log("kill 2");
await answered.next();
const polled = (async (): Promise<Message> => {
  for (;;) {
    const changes = await ann[2]!.GET("/v1/groups/{group}/changes", {
      params: { path: { group }, query: { cursor, wait_ms: 20_000 } },
    });
    const page = demand(changes.data, changes.error);
    cursor = page.cursor;
    for (const change of page.events) {
      // `event` tells the compiler what `data` is.
      if (change.event === "message" && change.data.text === "three") return change.data;
    }
  }
})();
const [third] = await post(ann[0]!, "three", "key 3");
same("followed", (await polled).id, third.id);
console.log("start 2");
await answered.next();
lines.close();
