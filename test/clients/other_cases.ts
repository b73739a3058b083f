/** Routes that no package here asks: text, figures, the reference. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import type { ClientCase, ClientServer } from "./server.ts";

async function post({ url }: ClientServer, path: string, body: unknown) {
  const response = await fetch(url + path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  return { status: response.status, body: await response.json() };
}

/** The cases. */
export const OTHER_CASES: readonly ClientCase[] = [
  ["tokenize and detokenize are each other's reverse", async (s) => {
    const content = "Ünmask 7 times 8?";
    const { body: { tokens } } = await post(s, "/tokenize", { content });
    assertEquals((await post(s, "/detokenize", { tokens })).body.content, content);
    const { body } = await post(s, "/tokenize", { content, with_pieces: true });
    assertEquals(body.tokens.map(({ id }: { id: number }) => id), tokens);
    const counted = (await post(s, "/tokenize", { prompt: content })).body;
    assertEquals([counted.count, counted.tokens], [tokens.length, tokens]);
    const wrong = await post(s, "/detokenize", { tokens: [10_000_000] });
    assertEquals([wrong.status, wrong.body.error.code], [400, "invalid_value"]);
  }],
  ["a prompt may not hold the mask", async (s) => {
    const { status, body } = await post(s, "/v1/completions", { prompt: "a <|mdm_mask|>" });
    assertEquals([status, body.error.param], [400, "prompt"]);
    assertMatch(body.error.message, /mask token/);
  }],
  ["a prompt longer than the context is told by the code that clients look for", async (s) => {
    const { status, body } = await post(s, "/v1/completions", { prompt: "word ".repeat(600) });
    assertEquals([status, body.error.code], [400, "context_length_exceeded"]);
  }],
  ["/completion, llama-server's own, whole and streamed", async (s) => {
    const fields = { prompt: "Hello", n_predict: 8 };
    const { body } = await post(s, "/completion", fields);
    assertEquals([body.stop, body.tokens_evaluated], [true, 1]);
    const response = await fetch(`${s.url}/completion`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ ...fields, stream: true }),
    });
    const events = (await response.text()).split("\n\n").filter((event) =>
      event.startsWith("data: ")
    )
      .map((event) => JSON.parse(event.slice(6)));
    assertEquals(events.map(({ content }) => content).join(""), body.content);
    assertEquals(events.map(({ stop }) => stop), [...events.slice(1).map(() => false), true]);
  }],
  ["/infill, llama-server's own: the text between two", async (s) => {
    const { body: { prompt } } = await post(s, "/apply-template", {
      messages: [{ role: "user", content: s.prompt }],
    });
    const fields = { input_prefix: prompt, prompt: "7 * 8 = 56.", input_suffix: " 56." };
    const { status, body } = await post(s, "/infill", { ...fields, n_predict: 8 });
    assertEquals([status, body.content, body.stop_type], [200, " The answer is", "eos"]);
    const probable = await post(s, "/infill", { ...fields, n_predict: 8, n_probs: 2 });
    const tokens: { token: string }[] = probable.body.completion_probabilities;
    assertEquals(tokens.map(({ token }) => token).join(""), " The answer is");
    const extra = await post(s, "/infill", { ...fields, input_extra: [{ filename: "a" }] });
    assertEquals([extra.status, extra.body.error.param], [400, "input_extra[0].text"]);
  }],
  ["metrics count an answer", async (s) => {
    const value = async (name: string) => {
      const text = await (await fetch(`${s.url}/metrics`)).text();
      return Number(new RegExp(`^${name} (\\S+)$`, "m").exec(text)?.[1]);
    };
    const names = [
      "unmask_answers_total",
      "unmask_target_forwards_total",
      "unmask_answer_tokens_count",
      "unmask_first_text_seconds_count",
    ];
    const before = await Promise.all(names.map(value));
    await post(s, "/v1/completions", { prompt: "Hello", max_tokens: 4 });
    const after = await Promise.all(names.map(value));
    for (const [i, name] of names.entries()) assert(after[i] > before[i], name);
  }],
  ["the OpenAPI document names every route, and each answers", async (s) => {
    const document = await (await fetch(`${s.url}/openapi.json`)).json();
    assertEquals(document.openapi, "3.1.0");
    const paths = Object.entries<Record<string, { requestBody?: object }>>(document.paths);
    assert(paths.length > 20, `${paths.length} paths`);
    for (const [path, operations] of paths) {
      for (const [method, { requestBody }] of Object.entries(operations)) {
        const url = s.url + path.replace("{id}", s.model).replace("{name}", "page.ts");
        const response = await fetch(url, {
          method: method.toUpperCase(),
          ...requestBody && { headers: { "Content-Type": "application/json" }, body: "[]" },
        });
        await response.body?.cancel();
        // A list is no body that any of them takes.
        assertEquals(response.status, requestBody ? 400 : 200, `${method} ${path}`);
      }
    }
    const chat = document.paths["/v1/chat/completions"].post.requestBody.content;
    const { properties } = chat["application/json"].schema;
    assert("messages" in properties && "strategy" in properties);
    const message = properties.messages.items.properties;
    assert("role" in message && "content" in message);
  }],
  ["the reference page loads and runs nothing", async (s) => {
    const response = await fetch(`${s.url}/docs`);
    const page = await response.text();
    assertMatch(response.headers.get("content-security-policy") ?? "", /default-src 'none'/);
    assert(page.includes("POST /v1/responses") && page.includes("max_output_tokens"));
    assert(!/<script|<link|<img|@import|url\(|https?:\/\//.test(page));
  }],
];
