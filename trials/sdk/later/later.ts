// A client of a later version against a server of this one, which says what it does not have.
import createClient from "openapi-fetch";
import type { components, paths } from "./api.js";

type Problem = components["schemas"]["Problem"];
const group = "sdk-later";
const baseUrl = process.env["CAUSEWAY_1"] ?? "";

function refused(problem: Problem | undefined, status: number, code: string, named: string): void {
  const isSo = problem?.status === status && problem.code === code && problem.detail.includes(named);
  if (!isSo) throw new Error(`not ${status} ${code} ${named}: ${JSON.stringify(problem)}`);
}

const nobody = createClient<paths>({ baseUrl });
const withDevice = await nobody.POST("/v1/sessions", { body: { name: "ann", device: "phone" } });
refused(withDevice.error, 422, "invalid", "`device`: is not known here");
const session = await nobody.POST("/v1/sessions", { body: { name: "ann" } });
const ann = createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${session.data?.token}` } });
const path = { group };
await ann.PUT("/v1/groups/{group}/members/me", { params: { path } });

const reply = await ann.POST("/v1/groups/{group}/messages", {
  params: { path },
  body: { text: "hello", reply_to: "a message" },
});
refused(reply.error, 422, "invalid", "`reply_to`: is not known here");
const query = { thread: "a message" };
const thread = await ann.GET("/v1/groups/{group}/messages", { params: { path, query } });
refused(thread.error, 422, "invalid", "`thread`: is not known here");
const posted = await ann.POST("/v1/groups/{group}/messages", { params: { path }, body: { text: "hello" } });
const edited = await ann.PATCH("/v1/groups/{group}/messages/{id}", {
  params: { path: { group, id: posted.data?.id ?? "" } },
  body: { text: "hallo" },
});
refused(edited.error, 405, "method_not_allowed", "GET");
