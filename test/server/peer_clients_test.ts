/** What clients of llama-server and vLLM send and read beyond OpenAI's API. */
import { assertEquals, assertMatch } from "@std/assert";
import { NO_LOAD } from "../../src/engine/load_figures.ts";
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

Deno.test("a grammar constrains in each spelling; a tag is refused by name, for no answer is held to it", async () => {
  const GRAMMAR = 'root ::= "a"';
  const chat = (fields: object) => post("/v1/chat/completions", { messages: MESSAGES, ...fields });
  for (
    const fields of [
      { grammar: GRAMMAR },
      { guided_grammar: GRAMMAR },
      { structured_outputs: { grammar: GRAMMAR } },
    ]
  ) {
    const { status, requests } = await chat(fields);
    assertEquals([status, requests[0].constraint], [200, { kind: "grammar", grammar: GRAMMAR }]);
  }
  const completed = await post("/completion", { prompt: "Say", grammar: GRAMMAR });
  assertEquals(completed.requests[0].constraint, { kind: "grammar", grammar: GRAMMAR });
  const tag = await chat({ structural_tag: "a" });
  assertEquals([tag.status, tag.body.error.param], [400, "structural_tag"]);
  // llama-server's own page sends an empty one.
  for (const name of ["grammar", "guided_grammar", "structural_tag"]) {
    const { status, requests } = await chat({ [name]: "" });
    assertEquals([status, requests[0].constraint], [200, undefined]);
  }
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

Deno.test("/completion takes texts, ids, both in one, and lists of them, and numbers its answers", async () => {
  const promptsOf = async (prompt: unknown) => {
    const { status, body, requests } = await post("/completion", { prompt, n_predict: 8 });
    assertEquals(status, 200, JSON.stringify(body));
    const answers = Array.isArray(body) ? body : [body];
    assertEquals(answers.map(({ index }) => index), requests.map((_, index) => index));
    return { asked: requests.map(({ prompt }) => prompt), told: answers.map((one) => one.prompt) };
  };
  assertEquals(await promptsOf("ab"), { asked: ["ab"], told: ["ab"] });
  assertEquals(await promptsOf([97, 98]), { asked: [[97, 98]], told: ["ab"] });
  assertEquals(await promptsOf([97, "bc", 100]), { asked: [[97, 98, 99, 100]], told: ["abcd"] });
  assertEquals(await promptsOf(["ab"]), { asked: ["ab"], told: ["ab"] });
  assertEquals(await promptsOf([[97], "b", ["c", 100]]), {
    asked: [[97], "b", [99, 100]],
    told: ["a", "b", "cd"],
  });
  for (const wrong of [[], [[97], 98], [1.5], [[["a"]]], Array(129).fill("a"), {}]) {
    const { status, body } = await post("/completion", { prompt: wrong });
    assertEquals([status, body.error.param.startsWith("prompt")], [400, true]);
  }
});

Deno.test("/completion tells what it was asked for, and only the fields that are wanted", async () => {
  const asked = { prompt: "ab", n_predict: 8, seed: 5, temperature: 0.5, stop: ["x"] };
  const { body } = await post("/completion", asked);
  assertEquals(body.generation_settings, {
    logit_bias: [],
    n_predict: 8,
    n_probs: 0,
    stream: false,
    seed: 5,
    stop: ["x"],
    temperature: 0.5,
  });
  assertEquals([body.has_new_line, body.truncated, body.tokens], [false, false, []]);
  for (const logit_bias of [[1], [null], [[]], 5, "ab"]) {
    const { status, body } = await post("/completion", { ...asked, logit_bias });
    assertEquals(
      [status, body.error?.param.startsWith("logit_bias")],
      [400, true],
      `${logit_bias}`,
    );
  }
  const response_fields = ["content", "generation_settings/n_predict", "nothing", "prompt/length"];
  const { body: cut } = await post("/completion", { ...asked, response_fields });
  assertEquals(cut, { content: body.content, "generation_settings/n_predict": 8 });
});

Deno.test("a context that is exceeded is told in the words that libraries look for", async () => {
  for (
    const [path, fields] of [
      ["/v1/chat/completions", { messages: [{ role: "user", content: "a".repeat(300) }] }],
      ["/v1/chat/completions", { messages: [{ role: "user", content: "a".repeat(5000) }] }],
      ["/v1/completions", { prompt: "a".repeat(300) }],
      ["/completion", { prompt: "a".repeat(300) }],
    ] as const
  ) {
    const { status, body } = await post(path, fields);
    assertEquals([status, body.error.code], [400, "context_length_exceeded"]);
    assertMatch(body.error.message, /^This model's maximum context length is 256 tokens: /);
  }
});

Deno.test("/slots tells whether an answer is under way, /props what a model is called", async () => {
  const load = { ...NO_LOAD, places: 3 };
  const app = createApp(Object.assign(new FakeEngine({ stepDelay: 2 }), { load }));
  const get = async (path: string) => await (await app.request(path)).json();
  const slots = [0, 1, 2].map((id) => ({ id, n_ctx: 256, is_processing: false }));
  assertEquals(await get("/slots"), slots);
  const answer = app.request("/v1/chat/completions", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ messages: MESSAGES, stream: true }),
  });
  const response = await answer;
  assertEquals(await get("/slots"), [{ ...slots[0], is_processing: true }, ...slots.slice(1)]);
  await response.text();
  assertEquals(await get("/slots"), slots);
  const { total_slots, model_path, default_generation_settings } = await get("/props");
  assertEquals([total_slots, model_path], [3, "fake-llada"]);
  assertEquals(default_generation_settings, { n_ctx: 256, params: { n_predict: -1, seed: -1 } });
});
