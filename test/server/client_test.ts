/** The real `openai` client against a server started the way a user starts it. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { CLIENT_CASES, type ClientTarget } from "./client_cases.ts";
import { chatInit, MALFORMED } from "./malformed.ts";
import { startServer } from "./task_server.ts";

interface Item {
  readonly prompt: string;
  readonly expected: string;
  readonly reference?: unknown;
}
const items: Item[] = JSON.parse(
  Deno.readTextFileSync(new URL("../../models/eval-public.json", import.meta.url)),
).items;
const known = items.find((item) => item.reference)!;

/** A quick good request: four tokens. */
const SHORT = { max_tokens: 4, steps: 1 };

async function ask(baseURL: string, fields: Record<string, unknown>): Promise<string> {
  const response = await fetch(`${baseURL}/chat/completions`, chatInit(fields));
  assertEquals(response.status, 200);
  return (await response.json()).choices[0].message.content;
}

Deno.test("a server started with `deno task serve`", async (t) => {
  const server = await startServer();
  try {
    const target: ClientTarget = {
      baseURL: `${server.url}/v1`,
      model: "tiny-target",
      messages: [{ role: "user", content: known.prompt }],
      maxTokens: 64,
      blockLength: 32,
      text: known.expected,
    };

    await t.step("is healthy once it has loaded", async () => {
      const health = await fetch(`${server.url}/health`);
      assertEquals(health.status, 200);
      assertEquals((await health.json()).status, "ok");
    });

    await t.step("has its page, although it may read little by now", async () => {
      const page = await fetch(server.url, { headers: { accept: "text/html" } });
      assertMatch(await page.text(), /^<!doctype html>[^]*src="page\/page\.ts"/);
      const script = await fetch(`${server.url}/page/page.ts`);
      assertEquals([script.status, (await script.text()).includes("lit_html.js")], [200, false]);
      const library = await fetch(`${server.url}/page/lit_html.js`);
      assertMatch(await library.text(), /^\/\*\*[^]*Google LLC/);
    });

    for (const [name, run] of CLIENT_CASES) {
      await t.step(`openai client: ${name}`, () => run(target));
    }

    await t.step(`${MALFORMED.length} malformed requests, a good one after each`, async () => {
      assert(MALFORMED.length >= 25);
      const answer = await ask(target.baseURL, SHORT);
      for (const { name, path, init, status, param, message } of MALFORMED) {
        const response = await fetch(`${server.url}${path ?? "/v1/chat/completions"}`, init);
        const { error } = await response.json();
        assertEquals(response.status, status, `${name}: ${error?.message}`);
        assertMatch(error.message, message, name);
        if (param !== undefined) assertEquals(error.param, param, name);
        assertEquals(await ask(target.baseURL, SHORT), answer, `after ${name}`);
      }
    });

    await t.step("a seed gives the same text, whatever runs beside it", async () => {
      const fields = { max_tokens: 16, temperature: 2, seed: 11, messages: target.messages };
      const alone = await ask(target.baseURL, fields);
      const [beside] = await Promise.all([
        ask(target.baseURL, fields),
        ask(target.baseURL, { ...fields, seed: 12 }),
        ask(target.baseURL, SHORT),
      ]);
      assertEquals(beside, alone);
    });

    await t.step("HTTP stays responsive while the GPU works", async () => {
      let done = false;
      const answer = ask(target.baseURL, { messages: target.messages, max_tokens: 128 })
        .finally(() => done = true);
      let healthy = 0;
      while (!done) {
        const health = await fetch(`${server.url}/health`);
        await health.body?.cancel();
        if (!done) healthy++;
      }
      await answer;
      // One or two would do if each waited for the answer.
      assert(healthy > 10, `${healthy} health checks were answered during an answer`);
    });

    await t.step("no prompt text is logged", () => {
      const log = server.output();
      assert(log.includes("/v1/chat/completions 200"), log);
      assert(!log.includes(known.prompt.slice(0, 20)), "the log holds a prompt");
      assert(!log.includes("Say hello"), "the log holds a prompt");
    });
  } finally {
    await server.stop();
  }
});
