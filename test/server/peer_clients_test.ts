/** What clients of llama-server and vLLM send and read beyond OpenAI's API. */
import { assertEquals, assertMatch } from "@std/assert";
import { createApp } from "../../src/server/app.ts";
import { FakeEngine } from "./fake_engine.ts";

async function post(path: string, fields: object) {
  const engine = new FakeEngine();
  const response = await createApp(engine).request(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(fields),
  });
  return { status: response.status, body: await response.json(), requests: engine.requests };
}

const MESSAGES = [{ role: "user", content: "Say hello." }];

Deno.test("a grammar is refused by name, because an answer would not be held to it", async () => {
  for (const name of ["grammar", "guided_grammar", "structural_tag"]) {
    const { status, body } = await post("/v1/chat/completions", {
      messages: MESSAGES,
      [name]: 'root ::= "a"',
    });
    assertEquals([status, body.error.code, body.error.param], [400, "unsupported_parameter", name]);
    // llama-server's own page sends an empty one.
    assertEquals(
      (await post("/v1/chat/completions", { messages: MESSAGES, [name]: "" })).status,
      200,
    );
  }
  const outputs = { grammar: 'root ::= "a"' };
  const inside = await post("/v1/chat/completions", {
    messages: MESSAGES,
    structured_outputs: outputs,
  });
  assertEquals([inside.status, inside.body.error.param], [400, "structured_outputs.grammar"]);
});

Deno.test("structured_outputs may hold all fields of vLLM's class, and must ask for something", async () => {
  const ask = (structured_outputs: object) =>
    post("/v1/chat/completions", { messages: MESSAGES, structured_outputs });
  const { status, requests } = await ask({
    choice: ["yes", "no"],
    json: null,
    grammar: null,
    structural_tag: null,
    whitespace_pattern: null,
    disable_fallback: true,
    disable_any_whitespace: true,
  });
  assertEquals([status, requests[0].constraint?.kind], [200, "choice"]);
  for (const nothing of [{}, { json: null }, { json_object: false }]) {
    const { status, body } = await ask(nothing);
    assertEquals(status, 400);
    assertMatch(body.error.message, /structured_outputs says nothing/);
  }
});
