/** Real clients that are told 429, or 503, with when to ask again. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import Anthropic from "npm:@anthropic-ai/sdk@1.14.0";
import OpenAI, { RateLimitError } from "openai";
import { generateText } from "npm:ai@7.0.173";
import { createOpenAI } from "npm:@ai-sdk/openai@4.0.118";
import { BusyError, type GenerateRequest } from "../../src/engine/request.ts";
import { keyDigest } from "../../src/server/api_keys.ts";
import { createApp } from "../../src/server/app.ts";
import { listen } from "../../src/server/http_server.ts";
import { ANSWER } from "./ask.ts";
import { FakeEngine } from "./fake_engine.ts";

/** An engine whose queue is full for some requests, and then is not. */
class FullEngine extends FakeEngine {
  /** When requests came, in milliseconds. */
  readonly came: number[] = [];
  constructor(readonly refusals: number, readonly seconds: number) {
    super();
  }

  override async *generate(request: GenerateRequest, signal?: AbortSignal) {
    this.came.push(performance.now());
    if (this.came.length <= this.refusals) {
      throw new BusyError("64 requests are waiting already: try again in a moment", this.seconds);
    }
    yield* super.generate(request, signal);
  }
}

async function withClients(
  engine: FakeEngine,
  body: (url: string) => Promise<void>,
): Promise<void> {
  const digest = keyDigest("limited");
  const app = createApp(engine, { apiKeys: ["key", { digest, requestsPerMinute: 1 }] });
  const server = await listen(app.fetch, { hostname: "127.0.0.1", port: 0 });
  try {
    await body(`http://127.0.0.1:${server.port}`);
  } finally {
    server.cut();
    await server.stop();
  }
}

const messages = [{ role: "user" as const, content: "Say hello." }];
const model = "fake-llada";

const CLIENTS: readonly (readonly [string, (url: string) => Promise<string>])[] = [
  ["openai", async (url) => {
    const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "key", maxRetries: 2 });
    const { choices } = await client.chat.completions.create({ model, messages });
    return choices[0].message.content!;
  }],
  ["openai, streamed", async (url) => {
    const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "key", maxRetries: 2 });
    const stream = await client.chat.completions.create({ model, messages, stream: true });
    let text = "";
    for await (const { choices } of stream) text += choices[0]?.delta.content ?? "";
    return text;
  }],
  ["@anthropic-ai/sdk", async (url) => {
    const client = new Anthropic({ baseURL: url, apiKey: "key", maxRetries: 2 });
    const { content } = await client.messages.create({ model, messages, max_tokens: 64 });
    return content[0].type === "text" ? content[0].text : "";
  }],
  ["ai with @ai-sdk/openai", async (url) => {
    const provider = createOpenAI({ baseURL: `${url}/v1`, apiKey: "key" });
    const { text } = await generateText({ model: provider.chat(model), messages, maxRetries: 2 });
    return text;
  }],
];

Deno.test("a full queue is waited for as long as the server says", async () => {
  // By themselves these clients would wait for two seconds at most.
  const seconds = 2.3;
  await Promise.all(CLIENTS.map(async ([name, ask]) => {
    const engine = new FullEngine(1, seconds);
    await withClients(engine, async (url) => {
      assertEquals(await ask(url), ANSWER, name);
      const [first, second] = engine.came;
      assert(second - first >= 1000 * seconds - 10, `${name}: ${second - first} ms`);
    });
  }));
});

Deno.test("openai: what a key may not do is a RateLimitError that says which limit, and when", async () => {
  await withClients(new FakeEngine(), async (url) => {
    const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "limited", maxRetries: 0 });
    const ask = () => client.chat.completions.create({ model, messages });
    const { response } = await ask().withResponse();
    assertEquals(response.headers.get("x-ratelimit-remaining-requests"), "0");
    const error = await assertRejects(ask, RateLimitError, "requests_per_minute");
    assertEquals([error.code, error.type], ["rate_limit_exceeded", "rate_limit_error"]);
    assert(Number(error.headers.get("retry-after")) > 50);
  });
});
